const express = require('express');
const app = express();
app.use(express.json());
app.post('/webhooks/order-shipped', (req, res) => {
const data = req.body;
// Validate the data
if (!data.event || !data.order_id) {
return res.status(400).send('Invalid webhook data');
}
// Process the event
if (data.event === 'orders/shipped_v2') {
const { order_id, order_number, tracking_number } = data;
// Update your system
updateOrderStatus(order_id, 'shipped', tracking_number);
sendCustomerNotification(order_number, tracking_number);
}
// Always return 200 OK
res.status(200).send('OK');
});
app.listen(3000, () => {
console.log('Webhook server listening on port 3000');
});
