<?php
// What the sample calls but does not define; any warning or notice is an error.
set_error_handler(function ($level, $text) {
    http_response_code(500);
    error_log("the sample complained: $text");
    exit($text);
});
function updateOrderStatus($orderId, $status, $trackingNumber) {
    error_log("updateOrderStatus " . json_encode([$orderId, $status, $trackingNumber]));
}
function sendCustomerNotification($orderNumber, $trackingNumber) {
    error_log("sendCustomerNotification " . json_encode([$orderNumber, $trackingNumber]));
}
function updateInventory($sku, $newQuantity) {
    error_log("updateInventory " . json_encode([$sku, $newQuantity]));
}
require __DIR__ . '/webhook_handler.php';
