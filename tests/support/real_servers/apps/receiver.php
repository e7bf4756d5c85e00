<?php
// A receiver whose answer is chosen by the path; the other programs in this folder do the same.
$body = file_get_contents('php://input');
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if (isset($_SERVER['HTTP_X_NUMBER'])) {
    file_put_contents(getenv('ARRIVALS'), $_SERVER['HTTP_X_NUMBER'] . "\n", FILE_APPEND | LOCK_EX);
}
header('Content-Type: text/plain');
switch (basename($path)) {
    case 'chunked':
        foreach (range(1, 5) as $part) {
            echo str_repeat((string) $part, 1000);
            flush();
        }
        break;
    case 'large':
        echo str_repeat('x', 5000000);
        break;
    case 'redirect':
        header('Location: /200', true, 302);
        break;
    case 'size':
        echo strlen($body);
        break;
    case 'warning':
        echo $undefined, 'OK';
        break;
    case 'crash':
        throw new RuntimeException('a fault of the receiver');
    default:
        http_response_code((int) basename($path));
        echo basename($path) === '204' ? '' : 'OK';
}
