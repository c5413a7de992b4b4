# What Net::Stomp (Perl, STOMP 1.0) does against a broker; see README.md for the verbs.
use strict;
use warnings;
use Net::Stomp;

$| = 1;
my ($verb, $host, $port, @rest) = @ARGV;
my $binary = join('', map { chr } 0 .. 255) x 8 . "\0\0end\n\0";
my $stomp = Net::Stomp->new({
    hostname => $host, port => $port, timeout => 20, reconnect_attempts => 1, connect_delay => 0,
});
my $connected = $stomp->connect({
    login => $ENV{STOMP_LOGIN} // 'guest', passcode => $ENV{STOMP_PASSCODE} // 'guest',
});
die "no CONNECTED frame\n" unless $connected && $connected->command eq 'CONNECTED';
# The module reconnects by itself when a connection is lost; these scripts must not.
{ no warnings 'redefine'; *Net::Stomp::_reconnect = sub { exit 0 }; }

sub expect {
    my ($actual, $wanted, $what) = @_;
    die "$what: wanted '$wanted', got '" . ($actual // 'nothing') . "'\n"
        unless defined $actual && $actual eq $wanted;
}

sub message {
    my $frame = $stomp->receive_frame or die "no frame within 20 s\n";
    expect($frame->command, 'MESSAGE', 'frame');
    return $frame;
}

# Sends one frame with a receipt header and waits for that receipt.
sub receipted {
    my ($command, $headers) = @_;
    my $frame = Net::Stomp::Frame->new({ command => $command, headers => $headers });
    $stomp->send_frame($frame);
    my $answer = $stomp->receive_frame;
    return $answer && $answer->command eq 'RECEIPT'
        && $answer->headers->{'receipt-id'} eq $headers->{receipt};
}

sub check {
    my $name = "/queue/check.netstomp.$$";
    my %to = (destination => $name, persistent => 'true');
    for my $number (0 .. 9) {
        $stomp->send_with_receipt({ %to, body => "body $number" }) or die "no receipt for SEND\n";
    }
    $stomp->subscribe({ destination => $name, ack => 'client', 'prefetch-count' => 1 });
    for my $number (0 .. 9) {
        my $frame = message();
        expect($frame->body, "body $number", 'message in order');
        $stomp->ack({ frame => $frame });
    }

    $stomp->send_frame(Net::Stomp::Frame->new(
        { command => 'BEGIN', headers => { transaction => 'kept' } }));
    $stomp->send({ %to, transaction => 'kept', body => $_ }) for 'one', 'two';
    receipted('COMMIT', { transaction => 'kept', receipt => 'commit' })
        or die "no receipt for COMMIT\n";
    for my $body ('one', 'two') {
        my $frame = message();
        expect($frame->body, $body, 'message of a committed transaction');
        $stomp->ack({ frame => $frame });
    }
    $stomp->send_frame(Net::Stomp::Frame->new(
        { command => 'BEGIN', headers => { transaction => 'dropped' } }));
    $stomp->send({ %to, transaction => 'dropped', body => 'never' });
    $stomp->send_frame(Net::Stomp::Frame->new(
        { command => 'ABORT', headers => { transaction => 'dropped' } }));

    $stomp->send({ %to, body => $binary, bytes_message => 1 });
    my $frame = message();
    expect(unpack('H*', $frame->body), unpack('H*', $binary),
        'binary body, and nothing of the aborted transaction');
    $stomp->ack({ frame => $frame });
    $stomp->unsubscribe({ destination => $name });

    my $topic = "/topic/check.netstomp.$$";
    receipted('SUBSCRIBE', { destination => $topic, receipt => 'topic' })
        or die "no receipt for SUBSCRIBE\n";
    $stomp->send({ destination => $topic, body => 'news', colour => 'blue' });
    $frame = message();
    expect($frame->body, 'news', 'topic message');
    expect($frame->headers->{colour}, 'blue', 'header');
    receipted('DISCONNECT', { receipt => 'bye' }) or die "no receipt for DISCONNECT\n";
}

sub produce {
    my ($name, $number) = @_;
    while ($stomp->send_with_receipt(
        { destination => $name, persistent => 'true', body => $number })) {
        print "$number\n";
        $number++;
    }
}

sub settle {
    my ($name) = @_;
    $stomp->subscribe({ destination => $name, ack => 'client', 'prefetch-count' => 1 });
    # The next message may overtake the receipt of the ACK, which waits for the disk.
    while (my $frame = $stomp->receive_frame) {
        if ($frame->command eq 'RECEIPT') {
            print $frame->headers->{'receipt-id'}, "\n";
        } else {
            print 'ack ', $frame->body, "\n";
            $stomp->ack({ frame => $frame, receipt => $frame->body });
        }
    }
}

if ($verb eq 'check') { check() } elsif ($verb eq 'produce') { produce(@rest) } else { settle(@rest) }
