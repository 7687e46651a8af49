package main

import (
	"fmt"
	"io"
	"time"

	"github.com/gorilla/websocket"

	"../cases"
)

type connection struct {
	socket *websocket.Conn
}

func opcode(message cases.Message) int {
	if message.Text {
		return websocket.TextMessage
	}
	return websocket.BinaryMessage
}

func (c *connection) Send(message cases.Message) error {
	return c.socket.WriteMessage(opcode(message), message.Data)
}

// The buffer is that small: a part fills it, and goes as a frame.
func (c *connection) SendFragments(parts []string) error {
	writer, err := c.socket.NextWriter(websocket.TextMessage)
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
	kind, data, err := c.socket.ReadMessage()
	return cases.Message{Text: kind == websocket.TextMessage, Data: data}, err
}

func (c *connection) Ping() error {
	data := ""
	c.socket.SetPongHandler(func(pong string) error {
		data = pong
		return c.socket.WriteMessage(websocket.TextMessage, []byte("after the Pong"))
	})
	if err := c.socket.WriteControl(websocket.PingMessage, []byte("ping"), time.Now().Add(time.Minute)); err != nil {
		return err
	}
	_, err := c.Next()
	if err == nil && data != "ping" {
		err = fmt.Errorf("another Pong: %s", data)
	}
	return err
}

func (c *connection) Close(code int, reason string) error {
	return c.socket.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), time.Now().Add(time.Minute))
}

func (c *connection) Closed() (int, *string, error) {
	_, _, err := c.socket.ReadMessage()
	closed, is := err.(*websocket.CloseError)
	if !is {
		return 0, nil, fmt.Errorf("no Close frame: %v", err)
	}
	return closed.Code, &closed.Text, c.socket.Close()
}

func main() {
	cases.Run(func(url string) (cases.Connection, error) {
		dialer := websocket.Dialer{EnableCompression: true}
		if url[len(url)-10:] == "/fragments" {
			dialer.WriteBufferSize = 8
		}
		socket, response, err := dialer.Dial(url, nil)
		if err == websocket.ErrBadHandshake && response != nil {
			body, _ := io.ReadAll(response.Body)
			return nil, &cases.Refused{Status: response.StatusCode, Body: string(body)}
		}
		return &connection{socket: socket}, err
	}, nil)
}
