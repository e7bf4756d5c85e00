<?php
// Get the raw POST data
$payload = file_get_contents('php://input');
$data = json_decode($payload, true);
// Validate the data
if (!$data || !isset($data['event'])) {
http_response_code(400);
exit('Invalid webhook data');
}
// Process based on event type
switch ($data['event']) {
case 'orders/shipped_v2':
// Handle order shipped
$orderId = $data['order_id'];
$orderNumber = $data['order_number'];
$trackingNumber = $data['tracking_number'];
// Update your system
updateOrderStatus($orderId, 'shipped', $trackingNumber);
sendCustomerNotification($orderNumber, $trackingNumber);
break;
case 'inventory/corrections_v2':
// Handle inventory correction
$sku = $data['sku'];
$newQuantity = $data['new_quantity'];
// Update inventory in your system
updateInventory($sku, $newQuantity);
break;
default:
// Unknown event type
error_log("Unknown webhook event: " . $data['event']);
}
// Always return 200 OK
http_response_code(200);
echo 'OK';
?>
