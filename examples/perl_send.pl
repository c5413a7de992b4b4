# Sends one message and returns when it is safe on the broker's disk.
use strict;
use warnings;
use Net::Stomp;

my ($queue, $text) = @ARGV;
my $stomp = Net::Stomp->new({ hostname => '127.0.0.1', port => 61613 });
$stomp->connect({});
$stomp->send_with_receipt({ destination => $queue, body => $text })
    or die "no receipt: the message may be lost\n";
print "stored: $text\n";
$stomp->disconnect;
