package Connection;
use strict;
use warnings;
use Encode qw(encode_utf8 decode_utf8);
use Mojo::IOLoop;
use Mojo::UserAgent;
use Mojo::WebSocket qw(WS_CONTINUATION WS_TEXT WS_BINARY WS_PING WS_PONG);

my $agent = Mojo::UserAgent->new;

sub new {
    my ($class, $url) = @_;
    my $self = bless {messages => [], pongs => []}, $class;
    my $tx = $agent->build_websocket_tx($url => {'Sec-WebSocket-Extensions' => 'permessage-deflate'});
    my $answer;
    $agent->start($tx => sub {
        $answer = $_[1];
        return unless $answer->is_websocket;
        $answer->max_websocket_size(1 << 20);
        $answer->on(text   => sub { push @{$self->{messages}}, [1, decode_utf8($_[1])] });
        $answer->on(binary => sub { push @{$self->{messages}}, [0, $_[1]] });
        $answer->on(frame  => sub { push @{$self->{pongs}}, $_[1][5] if $_[1][4] == WS_PONG });
        $answer->on(finish => sub { $self->{closed} = [code => $_[1], reason => $_[2] // ''] });
    });
    Mojo::IOLoop->one_tick until $answer;
    die {status => 0 + $answer->res->code, body => $answer->res->body} unless $answer->is_websocket;
    $self->{tx} = $answer;
    return $self;
}

sub run_until { my ($self, $condition) = @_; Mojo::IOLoop->one_tick until $condition->() || $self->{closed} }

sub send {
    my ($self, $message) = @_;
    $self->{tx}->send({$message->[0] ? 'text' : 'binary' => $message->[0] ? encode_utf8($message->[1]) : $message->[1]});
}

sub send_fragments {
    my ($self, @parts) = @_;
    $self->{tx}->send([$_ == $#parts ? 1 : 0, 0, 0, 0, $_ ? WS_CONTINUATION : WS_TEXT, encode_utf8($parts[$_])]) for 0 .. $#parts;
}

sub next {
    my ($self) = @_;
    $self->run_until(sub { @{$self->{messages}} });
    return shift @{$self->{messages}} // die "closed while a message was awaited\n";
}

sub ping {
    my ($self, $data) = @_;
    $self->{tx}->send([1, 0, 0, 0, WS_PING, $data]);
    $self->run_until(sub { @{$self->{pongs}} });
    return $self->{pongs}[0];
}

sub close { my ($self, $code, $reason) = @_; $self->{tx}->finish($code => $reason) }

sub closed { my ($self) = @_; $self->run_until(sub { 0 }); return @{$self->{closed}} }

package main;
use FindBin;
use lib $FindBin::Bin;
use Cases;

Cases::run(sub { Connection->new($_[0]) });
