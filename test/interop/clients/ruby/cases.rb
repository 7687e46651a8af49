# The cases that every client program goes through, for clients in Ruby.
require 'json'

module Cases
  TEXT = 'Grüße, 你好, 👋'
  PARTS = ['Grüße, ', '你好, ', '👋'].freeze

  # What a client tells of a refusal.
  class Refused < StandardError
    attr_reader :seen

    def initialize(seen)
      @seen = seen
      super('refused')
    end
  end

  def self.tell(name, outcome = {})
    puts JSON.generate({ case: name }.merge(outcome))
    $stdout.flush
  end

  # A text is a String in UTF-8, binary data one in ASCII-8BIT. What `open` returns has send, next, close and closed, and
  # where the client can, send_fragments and ping.
  def self.run(open, cannot = {})
    url = ARGV[0]
    bytes = (0..255).to_a.pack('C*')
    large = (0...300_000).map { |i| (i * 7 + (i >> 8)) & 255 }.pack('C*')
    digits = '0123456789' * 30_000

    attempt = lambda do |name, &act|
      next tell(name, cannot: cannot[name]) if cannot.key?(name)
      begin
        tell(name, act.call(open.call("#{url}/#{name}")) || {})
      rescue Refused => refused
        tell(name, refused.seen)
      rescue StandardError => error
        tell(name, error: error.message)
      end
    end
    expect = lambda do |connection, message|
      answer = connection.next
      raise 'another answer' unless answer == message && answer.encoding == message.encoding
    end
    finish = lambda do |connection|
      connection.close(1000, '')
      connection.closed
      {}
    end
    echo = lambda do |name, *messages|
      attempt.call(name) do |connection|
        messages.each do |message|
          connection.send(message)
          expect.call(connection, message)
        end
        finish.call(connection)
      end
    end

    echo.call('text', TEXT)
    echo.call('binary', bytes)
    echo.call('empty', '', ''.b)
    echo.call('large', large)
    attempt.call('fragments') do |connection|
      connection.send_fragments(PARTS)
      expect.call(connection, TEXT)
      finish.call(connection)
    end
    %w[fragmented cut].each do |name|
      attempt.call(name) do |connection|
        expect.call(connection, TEXT)
        connection.send(TEXT)
        finish.call(connection)
      end
    end
    echo.call('compressed', digits, large, digits)
    attempt.call('ping') do |connection|
      raise 'another Pong' unless connection.ping('ping') == 'ping'
      finish.call(connection)
    end
    attempt.call('pong') do |connection|
      expect.call(connection, 'ponged are you there?')
      finish.call(connection)
    end
    attempt.call('close') do |connection|
      connection.close(4001, 'bye, 世界')
      connection.closed
    end
    attempt.call('closed', &:closed)
    [401, 403, 503].each { |status| attempt.call("refused/#{status}") { raise 'it was not refused' } }
  end
end
