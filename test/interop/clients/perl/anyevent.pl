package Connection;
use strict;
use warnings;
use AnyEvent;
use AnyEvent::WebSocket::Client;
use AnyEvent::WebSocket::Message;
use Encode qw(encode_utf8);

my $client = AnyEvent::WebSocket::Client->new(max_payload_size => 1 << 20);

sub new {
    my ($class, $url) = @_;
    my $self = bless {messages => [], wake => AE::cv}, $class;
    my $connection = eval { $client->connect($url)->recv };
    if (!$connection) {
        # Only in words: "handshake error: ... 401"
        die $@ unless "$@" =~ /handshake error/;
        die {};
    }
    $self->{connection} = $connection;
    $connection->on(each_message => sub {
        my $message = $_[1];
        push @{$self->{messages}}, [$message->is_text, $message->is_text ? $message->decoded_body : $message->body];
        $self->{wake}->send;
    });
    $connection->on(finish => sub {
        $self->{closed} = [code => $connection->close_code, reason => $connection->close_reason];
        $self->{wake}->send;
    });
    return $self;
}

sub run_until {
    my ($self, $condition) = @_;
    until ($condition->() || $self->{closed}) {
        $self->{wake}->recv;
        $self->{wake} = AE::cv;
    }
}

sub send {
    my ($self, $message) = @_;
    my ($is_text, $data) = @$message;
    $self->{connection}->send(AnyEvent::WebSocket::Message->new(body => $is_text ? encode_utf8($data) : $data, opcode => $is_text ? 1 : 2));
}

sub next {
    my ($self) = @_;
    $self->run_until(sub { @{$self->{messages}} });
    return shift @{$self->{messages}} // die "closed while a message was awaited\n";
}

sub close { my ($self, $code, $reason) = @_; $self->{connection}->close($code, $reason) }

sub closed { my ($self) = @_; $self->run_until(sub { 0 }); return @{$self->{closed}} }

package main;
use FindBin;
use lib $FindBin::Bin;
use Cases;

Cases::run(
    sub { Connection->new($_[0]) },
    fragments  => 'it sends whole messages',
    compressed => 'it offers no extensions',
    ping       => 'it keeps Pongs to itself',
    answering  => 'it answers each Close frame with 1005, a code that no frame may have: the server sees 1006',
);
