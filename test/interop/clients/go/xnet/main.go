package main

import (
	"errors"
	"os"
	"strings"

	"golang.org/x/net/websocket"

	"../cases"
)

type connection struct {
	socket *websocket.Conn
}

var codec = websocket.Codec{
	Marshal: func(v interface{}) ([]byte, byte, error) {
		message := v.(cases.Message)
		if message.Text {
			return message.Data, websocket.TextFrame, nil
		}
		return message.Data, websocket.BinaryFrame, nil
	},
	Unmarshal: func(data []byte, kind byte, v interface{}) error {
		*v.(*cases.Message) = cases.Message{Text: kind == websocket.TextFrame, Data: data}
		return nil
	},
}

func (c *connection) Send(message cases.Message) error   { return codec.Send(c.socket, message) }
func (c *connection) SendFragments(parts []string) error { return errors.New("cannot") }
func (c *connection) Ping() error                        { return errors.New("cannot") }

func (c *connection) Next() (message cases.Message, err error) {
	err = codec.Receive(c.socket, &message)
	return
}

func (c *connection) Close(code int, reason string) error { return c.socket.Close() }

func (c *connection) Closed() (int, *string, error) { return 0, nil, nil }

func main() {
	cases.Run(func(url string) (cases.Connection, error) {
		socket, err := websocket.Dial(url, "", strings.Replace(os.Args[1], "ws:", "http:", 1))
		if failure, is := err.(*websocket.DialError); is && failure.Err == websocket.ErrBadStatus {
			return nil, &cases.Refused{}
		}
		return &connection{socket}, err
	}, map[string]string{
		"fragments":  "it sends whole messages",
		"fragmented": "it gives each frame as a message",
		"cut":        "it gives each frame as a message",
		"compressed": "it offers no extensions",
		"ping":       "it keeps Pongs to itself",
		"close":      "it always closes with 1000",
		"closed":     "it keeps the code to itself",
	})
}
