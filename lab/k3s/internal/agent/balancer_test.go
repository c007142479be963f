package agent

import (
	"context"
	"io"
	"net"
	"path/filepath"
	"testing"
)

// backend answers each connection with its name and keeps it open; stop ends it like a dead process.
func backend(t *testing.T, name string) (address string, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(connection, name)
		}
	}()
	return listener.Addr().String(), func() { _ = listener.Close() }
}

func ask(t *testing.T, b *balancer) (net.Conn, string) {
	t.Helper()
	client, server := net.Pipe()
	t.Cleanup(func() { _ = client.Close() })
	go b.forward(context.Background(), server)
	answer := make([]byte, 1)
	if _, err := io.ReadFull(client, answer); err != nil {
		return client, ""
	}
	return client, string(answer)
}

func TestBalancerMovesOn(t *testing.T) {
	file := filepath.Join(t.TempDir(), "servers.json")
	first, stopFirst := backend(t, "1")
	second, _ := backend(t, "2")
	b := newBalancer(file, first)
	if _, got := ask(t, b); got != "1" {
		t.Fatalf("the configured server answers %q", got)
	}
	if err := b.update([]string{first, second}); err != nil {
		t.Fatal(err)
	}
	stopFirst()
	if _, got := ask(t, b); got != "2" {
		t.Fatalf("after the first died %q answers", got)
	}
	if _, got := ask(t, newBalancer(file, first)); got != "2" {
		t.Fatal("a restart forgot the second server")
	}
}

func TestBalancerCutsTheConnectionsOfADeadServer(t *testing.T) {
	address, _ := backend(t, "1")
	b := newBalancer(filepath.Join(t.TempDir(), "servers.json"), address)
	client, _ := ask(t, b)
	for range strikes {
		b.judge(address, io.ErrUnexpectedEOF)
	}
	if n, err := client.Read(make([]byte, 1)); err == nil {
		t.Fatalf("still open, read %d bytes", n)
	}
}
