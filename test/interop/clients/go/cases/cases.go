// Package cases has the cases that every client program goes through, for clients in Go.
package cases

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

const text = "Grüße, 你好, 👋"

// Message is what came: its bytes, and whether they are text.
type Message struct {
	Text bool
	Data []byte
}

// Connection is one connection of the client. SendFragments and Ping may be nil-safe no-ops where Cannot names them.
type Connection interface {
	Send(Message) error
	SendFragments(parts []string) error
	Next() (Message, error)
	// Ping sends a Ping and waits for its Pong.
	Ping() error
	Close(code int, reason string) error
	// Closed waits for the end: the code, and the reason if the client tells it.
	Closed() (code int, reason *string, err error)
}

// Refused is what a client tells of a refusal.
type Refused struct {
	Status int    `json:"status,omitempty"`
	Body   string `json:"body,omitempty"`
}

func (r *Refused) Error() string { return fmt.Sprint("refused with ", r.Status) }

type outcome struct {
	Case   string  `json:"case"`
	Cannot string  `json:"cannot,omitempty"`
	Error  string  `json:"error,omitempty"`
	Code   int     `json:"code,omitempty"`
	Reason *string `json:"reason,omitempty"`
	*Refused
}

func tell(o outcome) {
	line, _ := json.Marshal(o)
	fmt.Println(string(line))
}

// Run goes through all cases but those that the client cannot do.
func Run(open func(url string) (Connection, error), cannot map[string]string) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	large := make([]byte, 300000)
	for i := range large {
		large[i] = byte(i*7 + i>>8)
	}
	digits := []byte(strings.Repeat("0123456789", 30000))

	attempt := func(name string, run func(Connection) (outcome, error)) {
		if reason, is := cannot[name]; is {
			tell(outcome{Case: name, Cannot: reason})
			return
		}
		connection, err := open(os.Args[1] + "/" + name)
		result := outcome{}
		if err == nil {
			result, err = run(connection)
		}
		if refused, is := err.(*Refused); is && strings.HasPrefix(name, "refused/") {
			tell(outcome{Case: name, Refused: refused})
			return
		}
		result.Case = name
		if err != nil {
			result.Error = err.Error()
		}
		tell(result)
	}
	expect := func(connection Connection, message Message) error {
		answer, err := connection.Next()
		if err == nil && (answer.Text != message.Text || !bytes.Equal(answer.Data, message.Data)) {
			err = fmt.Errorf("%d bytes came back, or others than the %d that were sent", len(answer.Data), len(message.Data))
		}
		return err
	}
	end := func(connection Connection, err error) (outcome, error) {
		if err == nil {
			err = connection.Close(1000, "")
		}
		if err == nil {
			_, _, err = connection.Closed()
		}
		return outcome{}, err
	}
	echo := func(messages ...Message) func(Connection) (outcome, error) {
		return func(connection Connection) (outcome, error) {
			for _, message := range messages {
				if err := connection.Send(message); err != nil {
					return outcome{}, err
				}
				if err := expect(connection, message); err != nil {
					return outcome{}, err
				}
			}
			return end(connection, nil)
		}
	}

	attempt("text", echo(Message{true, []byte(text)}))
	attempt("binary", echo(Message{false, all}))
	attempt("empty", echo(Message{true, nil}, Message{false, nil}))
	attempt("large", echo(Message{false, large}))
	attempt("fragments", func(connection Connection) (outcome, error) {
		err := connection.SendFragments([]string{"Grüße, ", "你好, ", "👋"})
		if err == nil {
			err = expect(connection, Message{true, []byte(text)})
		}
		return end(connection, err)
	})
	for _, name := range []string{"fragmented", "cut"} {
	attempt(name, func(connection Connection) (outcome, error) {
		message, err := connection.Next()
		if err == nil && (!message.Text || string(message.Data) != text) {
			err = fmt.Errorf("another message: %s", message.Data)
		}
		if err == nil {
			err = connection.Send(message)
		}
		return end(connection, err)
	})
	}
	attempt("compressed", echo(Message{true, digits}, Message{false, large}, Message{true, digits}))
	attempt("ping", func(connection Connection) (outcome, error) { return end(connection, connection.Ping()) })
	attempt("pong", func(connection Connection) (outcome, error) {
		return end(connection, expect(connection, Message{true, []byte("ponged are you there?")}))
	})
	attempt("close", func(connection Connection) (outcome, error) {
		if err := connection.Close(4001, "bye, 世界"); err != nil {
			return outcome{}, err
		}
		code, reason, err := connection.Closed()
		return outcome{Code: code, Reason: reason}, err
	})
	attempt("closed", func(connection Connection) (outcome, error) {
		code, reason, err := connection.Closed()
		return outcome{Code: code, Reason: reason}, err
	})
	for _, status := range []string{"401", "403", "503"} {
		attempt("refused/"+status, func(Connection) (outcome, error) { return outcome{}, fmt.Errorf("it was not refused") })
	}
}
