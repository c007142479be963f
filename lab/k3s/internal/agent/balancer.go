package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"rackstart.dev/lab/k3s/internal/pki"
)

const (
	dialTimeout = 2 * time.Second
	strikes     = 2 // failed probes after which a server's connections are cut
)

// balancer is a TCP proxy on loopback over all servers: it keeps to the one that answers and moves on when it does not.
type balancer struct {
	file     string // where the list of servers outlives a restart
	fallback string // the server named in the configuration: tried when no other answers
	mutex    sync.Mutex
	servers  []string // the one in use first
	open     map[string]map[net.Conn]bool
	failed   map[string]int
}

func newBalancer(file, configured string) *balancer {
	b := &balancer{file: file, fallback: configured, open: map[string]map[net.Conn]bool{}, failed: map[string]int{}}
	if data, err := os.ReadFile(file); err == nil {
		_ = json.Unmarshal(data, &b.servers) // a torn file is as good as none: the configured server is there
	}
	if !slices.Contains(b.servers, configured) {
		b.servers = append(b.servers, configured)
	}
	return b
}

func (b *balancer) serve(ctx context.Context, listener net.Listener) error {
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go b.probe(ctx)
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go b.forward(ctx, client)
	}
}

func (b *balancer) forward(ctx context.Context, client net.Conn) {
	defer client.Close()
	server, upstream, err := b.dial(ctx)
	if err != nil {
		logrus.Warnf("load balancer: %v", err)
		return
	}
	defer upstream.Close()
	b.track(server, upstream, true)
	defer b.track(server, upstream, false)
	done := make(chan struct{}, 2)
	for _, pair := range [][2]net.Conn{{upstream, client}, {client, upstream}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			done <- struct{}{}
		}()
	}
	<-done
}

// dial tries the servers that answered last, then the others.
func (b *balancer) dial(ctx context.Context) (string, net.Conn, error) {
	var all error
	for _, server := range b.order() {
		connection, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", server)
		if err == nil {
			return server, connection, nil
		}
		all = errors.Join(all, err)
	}
	return "", nil, fmt.Errorf("no server answers: %w", all)
}

func (b *balancer) order() []string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	order := slices.Clone(b.servers)
	slices.SortStableFunc(order, func(x, y string) int { return min(b.failed[x], strikes) - min(b.failed[y], strikes) })
	if !slices.Contains(order, b.fallback) {
		order = append(order, b.fallback)
	}
	return order
}

func (b *balancer) track(server string, connection net.Conn, open bool) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if b.open[server] == nil {
		b.open[server] = map[net.Conn]bool{}
	}
	if open {
		b.open[server][connection] = true
	} else {
		delete(b.open[server], connection)
	}
}

// update takes the list of servers that the cluster knows; connections to a server that left it are cut.
func (b *balancer) update(servers []string) error {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	slices.Sort(servers)
	sorted := slices.Sorted(slices.Values(b.servers))
	if len(servers) == 0 || slices.Equal(sorted, servers) {
		return nil
	}
	logrus.Infof("load balancer: servers are %v", servers)
	for _, old := range b.servers {
		if !slices.Contains(servers, old) {
			b.cut(old)
			delete(b.failed, old)
		}
	}
	b.servers = servers
	data, err := json.Marshal(servers)
	if err != nil {
		return err
	}
	return pki.WriteFile(b.file, data, 0o600)
}

// probe notices a server that died without closing its connections, as a host that lost power does.
func (b *balancer) probe(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
		for _, server := range b.order() {
			connection, err := net.DialTimeout("tcp", server, dialTimeout)
			if err == nil {
				_ = connection.Close()
			}
			b.judge(server, err)
		}
	}
}

func (b *balancer) judge(server string, err error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	if err == nil {
		b.failed[server] = 0
		return
	}
	b.failed[server]++
	if b.failed[server] == strikes {
		logrus.Warnf("load balancer: %s does not answer: %v", server, err)
		b.cut(server)
	}
}

func (b *balancer) cut(server string) {
	for connection := range b.open[server] {
		_ = connection.Close()
	}
}
