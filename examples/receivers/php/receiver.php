<?php
// A receiver of webhooks: verifies, keeps each delivery once, answers at once, applies in order.
//
//     WEBHOOK_SECRET=whsec_… INBOX=./inbox php -S 127.0.0.1:8080 receiver.php
//     INBOX=./inbox php receiver.php            # applies what was kept, for ever
//
// Needs nothing but PHP 8.1, behind nginx or Apache with php-fpm too. Set `display_errors = Off`:
// a script that shows an error has answered 200 before, and the delivery counts as received.
declare(strict_types=1);

const TOLERANCE_SECONDS = 300;
const LARGEST_BODY = 1024 * 1024;

$inbox = getenv('INBOX') ?: 'inbox';
define('DELIVERIES', "$inbox/deliveries");
define('DONE', "$inbox/done");
define('ORDERS', "$inbox/orders");
foreach ([DELIVERIES, DONE, ORDERS] as $folder) {
    is_dir($folder) || @mkdir($folder, 0700, true);
}

/** Tells whether a request is signed with the secret, and not older than five minutes. */
function verified(string $id, string $timestamp, string $signatures, string $body): bool
{
    if (!preg_match('/^[\w-]{1,100}$/D', $id) || !preg_match('/^\d{1,12}$/D', $timestamp)) {
        return false;
    }
    if (abs(time() - (int) $timestamp) > TOLERANCE_SECONDS) {
        return false;
    }
    $secret = base64_decode(preg_replace('/^whsec_/', '', (string) getenv('WEBHOOK_SECRET')));
    $mac = hash_hmac('sha256', "$id.$timestamp.$body", $secret, true);
    $expected = 'v1,' . base64_encode($mac);
    // Several, while a secret is being replaced.
    foreach (explode(' ', $signatures) as $given) {
        if (hash_equals($expected, $given)) {
            return true;
        }
    }
    return false;
}

/** Writes a delivery to the disk under its id; returns whether it is new. */
function keep(string $id, string $body): bool
{
    $temporary = tempnam(dirname(DELIVERIES), 'new');
    $file = fopen($temporary, 'wb');
    $written = fwrite($file, $body) === strlen($body) && fsync($file) && fclose($file);
    // It is there whole or not at all, and only once.
    $new = $written && @link($temporary, DELIVERIES . "/$id");
    unlink($temporary);
    if (!$new && !is_file(DELIVERIES . "/$id")) {
        throw new RuntimeException('the delivery could not be written');
    }
    return $new;
}

function receive(): int
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        return 405;
    }
    if ((int) ($_SERVER['CONTENT_LENGTH'] ?? 0) > LARGEST_BODY) {
        return 413;
    }
    $body = file_get_contents('php://input');
    $header = fn (string $name): string => $_SERVER["HTTP_WEBHOOK_$name"] ?? '';
    if (!verified($header('ID'), $header('TIMESTAMP'), $header('SIGNATURE'), $body)) {
        error_log('refused');
        return 401;
    }
    try {
        error_log((keep($header('ID'), $body) ? 'accepted ' : 'duplicate ') . $header('ID'));
    } catch (Throwable $error) {
        error_log($error->getMessage());
        return 500;
    }
    return 204;
}

/** Applies what was kept, for ever. */
function work(): void
{
    while (true) {
        $bodies = [];
        foreach (array_diff(scandir(DELIVERIES), scandir(DONE)) as $id) {
            $bodies[$id] = json_decode(file_get_contents(DELIVERIES . "/$id"), true);
        }
        uasort($bodies, fn ($one, $other) => ($one['sequence'] ?? 0) <=> ($other['sequence'] ?? 0));
        foreach ($bodies as $id => $body) {
            apply($body);
            touch(DONE . "/$id");
        }
        usleep(100_000);
    }
}

/** Applies a change of an order, unless a later one was applied before. */
function apply(array $body): void
{
    $order = $body['data']['order']['id'] ?? null;
    if ($order === null) {
        echo "put aside {$body['event']}\n";
        return;
    }
    $sequence = $body['sequence'] ?? 0;
    $state = ORDERS . '/' . str_replace('/', '_', $body['event']) . "-$order";
    $last = is_file($state) ? (int) file_get_contents($state) : 0;
    if ($sequence && $sequence <= $last) {
        echo "stale $order $sequence\n";
        return;
    }
    // Your own work is here. It may be done again after a crash.
    echo "applied $order $sequence\n";
    file_put_contents($state, (string) max($sequence, $last));
}

if (PHP_SAPI === 'cli') {
    work();
} else {
    http_response_code(receive());
}
