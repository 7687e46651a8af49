package main

import (
	"context"
	"errors"
	"io"

	"nhooyr.io/websocket"

	"../cases"
)

var background = context.Background()

type connection struct {
	socket *websocket.Conn
}

func opcode(message cases.Message) websocket.MessageType {
	if message.Text {
		return websocket.MessageText
	}
	return websocket.MessageBinary
}

func (c *connection) Send(message cases.Message) error {
	return c.socket.Write(background, opcode(message), message.Data)
}

func (c *connection) SendFragments(parts []string) error {
	writer, err := c.socket.Writer(background, websocket.MessageText)
	if err != nil {
		return err
	}
	for _, part := range parts {
		if _, err := io.WriteString(writer, part); err != nil {
			return err
		}
	}
	return writer.Close()
}

func (c *connection) Next() (cases.Message, error) {
	kind, data, err := c.socket.Read(background)
	return cases.Message{Text: kind == websocket.MessageText, Data: data}, err
}

// A Pong is taken while something reads.
func (c *connection) Ping() error {
	done := make(chan error)
	go func() {
		_, err := c.Next()
		done <- err
	}()
	if err := c.socket.Ping(background); err != nil {
		return err
	}
	if err := c.Send(cases.Message{Text: true, Data: []byte("after the Pong")}); err != nil {
		return err
	}
	return <-done
}

// Close waits for the answer, and fails if it has another code or reason.
func (c *connection) Close(code int, reason string) error {
	return c.socket.Close(websocket.StatusCode(code), reason)
}

func (c *connection) Closed() (int, *string, error) {
	_, _, err := c.socket.Read(background)
	var closed websocket.CloseError
	if errors.As(err, &closed) {
		return int(closed.Code), &closed.Reason, nil
	}
	return 0, nil, nil
}

func main() {
	cases.Run(func(url string) (cases.Connection, error) {
		socket, response, err := websocket.Dial(background, url, &websocket.DialOptions{CompressionMode: websocket.CompressionContextTakeover})
		if err != nil {
			if response != nil {
				body, _ := io.ReadAll(response.Body)
				return nil, &cases.Refused{Status: response.StatusCode, Body: string(body)}
			}
			return nil, err
		}
		socket.SetReadLimit(1 << 20)
		return &connection{socket}, nil
	}, nil)
}
