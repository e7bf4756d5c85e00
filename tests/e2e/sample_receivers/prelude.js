// What the sample calls but does not define, and a port of our choice for the one that it names.
const http = require('http');
const listen = http.Server.prototype.listen;
http.Server.prototype.listen = function (_port, ...rest) {
  return listen.call(this, Number(process.env.PORT), '127.0.0.1', ...rest);
};
global.updateOrderStatus = (...values) => console.log('updateOrderStatus', JSON.stringify(values));
global.sendCustomerNotification = (...values) =>
  console.log('sendCustomerNotification', JSON.stringify(values));
