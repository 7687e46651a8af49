# The cases that every client program goes through, for clients in Perl.
package Cases;
use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8);
use JSON::PP;

our $TEXT  = "Grüße, 你好, 👋";
our @PARTS = ("Grüße, ", "你好, ", "👋");

$| = 1;

sub tell_outcome {
    my ($name, %outcome) = @_;
    print JSON::PP->new->utf8->encode({case => $name, %outcome}), "\n";
}

# A message is [is_text, characters or bytes]. $open->($url) returns an object with send, next, close and closed, and
# where the client can, send_fragments and ping; or dies with {status => ..., body => ...}.
sub run {
    my ($open, %cannot) = @_;
    my $url    = $ARGV[0];
    my $bytes  = join '', map { chr } 0 .. 255;
    my $large  = pack 'C*', map { ($_ * 7 + ($_ >> 8)) & 255 } 0 .. 299_999;
    my $digits = '0123456789' x 30_000;

    my $attempt = sub {
        my ($name, $act) = @_;
        return tell_outcome($name, cannot => $cannot{$name}) if exists $cannot{$name};
        my @outcome = eval { $act->($open->("$url/$name")) };
        my $error = $@;
        return tell_outcome($name, %$error) if ref $error eq 'HASH';
        tell_outcome($name, $error ? (error => "$error") : @outcome);
    };
    my $expect = sub {
        my ($connection, $message) = @_;
        my $answer = $connection->next;
        die "another answer\n" if !$answer->[0] != !$message->[0] || $answer->[1] ne $message->[1];
    };
    my $end = sub {
        my ($connection) = @_;
        $connection->close(1000, '');
        $connection->closed;
        return ();
    };
    my $echo = sub {
        my @messages = @_;
        return sub {
            my ($connection) = @_;
            for my $message (@messages) {
                $connection->send($message);
                $expect->($connection, $message);
            }
            $end->($connection);
        };
    };

    $attempt->(text   => $echo->([1, $TEXT]));
    $attempt->(binary => $echo->([0, $bytes]));
    $attempt->(empty  => $echo->([1, ''], [0, '']));
    $attempt->(large  => $echo->([0, $large]));
    $attempt->(fragments => sub {
        my ($connection) = @_;
        $connection->send_fragments(@PARTS);
        $expect->($connection, [1, $TEXT]);
        $end->($connection);
    });
    for my $name (qw(fragmented cut)) {
        $attempt->($name => sub {
            my ($connection) = @_;
            $expect->($connection, [1, $TEXT]);
            $connection->send([1, $TEXT]);
            $end->($connection);
        });
    }
    $attempt->(compressed => $echo->([1, $digits], [0, $large], [1, $digits]));
    $attempt->(ping => sub {
        my ($connection) = @_;
        die "another Pong\n" if $connection->ping('ping') ne 'ping';
        $end->($connection);
    });
    $attempt->(pong => sub {
        my ($connection) = @_;
        $expect->($connection, [1, 'ponged are you there?']);
        $end->($connection);
    });
    $attempt->(close => sub {
        my ($connection) = @_;
        $connection->close(4001, 'bye, 世界');
        $connection->closed;
    });
    $attempt->(closed => sub { $_[0]->closed });
    for my $remark (qw(compressing answering)) {
        tell_outcome($remark => (cannot => $cannot{$remark})) if exists $cannot{$remark};
    }
    $attempt->("refused/$_" => sub { die "it was not refused\n" }) for 401, 403, 503;
}

1;
