<?php
// What the Stomp extension (PHP, STOMP 1.0) does against a broker; see README.md for the verbs.
[, $verb, $host, $port] = $argv;
$binary = '';
for ($byte = 0; $byte < 256; $byte++) {
    $binary .= chr($byte);
}
$binary = str_repeat($binary, 8) . "\0\0end\n\0";

function connection(): Stomp
{
    global $host, $port;
    $stomp = new Stomp("tcp://$host:$port", 'guest', 'guest');
    $stomp->setReadTimeout(20);
    return $stomp;
}

function expect(mixed $actual, mixed $wanted, string $what): void
{
    if ($actual !== $wanted) {
        fwrite(STDERR, "$what: wanted " . var_export($wanted, true)
            . ', got ' . var_export($actual, true) . "\n");
        exit(1);
    }
}

function settleNext(Stomp $stomp, string $body, string $what): void
{
    $frame = $stomp->readFrame();
    expect($frame ? $frame->body : null, $body, $what);
    expect($stomp->ack($frame), true, 'ack');
}

function check(): void
{
    global $binary;
    $stomp = connection();
    $name = '/queue/check.php.' . getmypid();
    $lasting = ['persistent' => 'true'];
    for ($number = 0; $number < 10; $number++) {
        // With a receipt header send() waits for the receipt and returns whether it came.
        $sent = $stomp->send($name, "body $number", $lasting + ['receipt' => "send-$number"]);
        expect($sent, true, 'receipt of a SEND');
    }
    $stomp->subscribe($name, ['ack' => 'client', 'prefetch-count' => '1']);
    for ($number = 0; $number < 10; $number++) {
        settleNext($stomp, "body $number", 'message in order');
    }

    $stomp->begin('kept');
    foreach (['one', 'two'] as $body) {
        $stomp->send($name, $body, $lasting + ['transaction' => 'kept']);
    }
    expect($stomp->commit('kept', ['receipt' => 'commit']), true, 'receipt of COMMIT');
    foreach (['one', 'two'] as $body) {
        settleNext($stomp, $body, 'message of a committed transaction');
    }
    $stomp->begin('dropped');
    $stomp->send($name, 'never', $lasting + ['transaction' => 'dropped']);
    $stomp->abort('dropped');

    $stomp->send($name, $binary, $lasting);
    settleNext($stomp, $binary, 'binary body, and nothing of the aborted transaction');
    $stomp->unsubscribe($name);

    $topic = '/topic/check.php.' . getmypid();
    expect($stomp->subscribe($topic, ['receipt' => 'topic']), true, 'receipt of SUBSCRIBE');
    $stomp->send($topic, 'news', ['colour' => 'blue']);
    $frame = $stomp->readFrame();
    expect($frame->body, 'news', 'topic message');
    expect($frame->headers['colour'], 'blue', 'header');
    unset($stomp);  // sends DISCONNECT and closes
}

// While the extension waits for the receipt of an ACK it does not survive a MESSAGE that comes before
// it, so it takes no part in the tests that settle under load.
expect($verb, 'check', 'verb');
check();
