// Package etcd runs a server's member of the datastore: founding, joining as a learner, promotion and health.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"rackstart.dev/lab/k3s/internal/cluster"
	"rackstart.dev/lab/k3s/internal/config"
	"rackstart.dev/lab/k3s/internal/pki"
	"rackstart.dev/lab/k3s/internal/process"
	"rackstart.dev/lab/k3s/internal/token"
)

const (
	localEndpoint = "https://127.0.0.1:2379"
	alone         = "db/state" // stands in for the SQLite file of a server without cluster-init
	clustered     = "db/etcd"
)

// Member is this server's place in the datastore.
type Member struct {
	Name, Address string // etcd member name, node IP
	dir           cluster.Dir
	data          string
	initial       []string // NAME=PEER_URL of all members
	state         string   // new or existing
}

// Clustered tells whether this server's datastore is one that others can join.
func Clustered(dir cluster.Dir) bool { return exists(dir.File(clustered)) }

// Exists tells whether this server has a datastore of its own, of either kind.
func Exists(dir cluster.Dir) bool { return exists(dir.File(clustered)) || exists(dir.File(alone)) }

// Prepare opens the member, or founds it, or has it added as a learner to the members at `join`.
// A lone server that gets cluster-init keeps its data, as k3s migrates SQLite.
func Prepare(ctx context.Context, dir cluster.Dir, node, address string, clusterInit bool, join []string) (*Member, error) {
	if clusterInit && exists(dir.File(alone)) && !exists(dir.File(clustered)) {
		logrus.Infof("migrating the datastore to one that other servers can join")
		if err := os.Rename(dir.File(alone), dir.File(clustered)); err != nil {
			return nil, err
		}
	}
	m := &Member{Address: address, dir: dir, data: dir.File(clustered), state: "new"}
	if !clusterInit && len(join) == 0 && !Clustered(dir) {
		m.data = dir.File(alone)
	}
	name, err := os.ReadFile(m.data + "/name")
	if err == nil && exists(m.data+"/member") {
		m.Name = string(name)
		m.initial = []string{m.Name + "=" + m.peerURL()} // etcd asks for it and passes it over
		return m, nil
	}
	m.Name = node + "-" + token.Random()[:8]
	m.initial = []string{m.Name + "=" + m.peerURL()}
	if len(join) > 0 {
		if err := m.join(ctx, join); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(m.data, 0o700); err != nil {
		return nil, err
	}
	return m, pki.WriteFile(m.data+"/name", []byte(m.Name), 0o600)
}

func (m *Member) peerURL() string { return fmt.Sprintf("https://%s:2380", m.Address) }

// join adds this server as a learner; a learner that a killed attempt left behind is taken over.
func (m *Member) join(ctx context.Context, endpoints []string) error {
	client, err := open(m.dir, endpoints...)
	if err != nil {
		return err
	}
	defer client.Close()
	m.state = "existing"
	return process.Until(ctx, logrus.InfoLevel, "Waiting for a place among the etcd members", 3*time.Second, func() error {
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		list, err := client.MemberList(ctx)
		if err != nil {
			return err
		}
		added := false
		m.initial = []string{m.Name + "=" + m.peerURL()}
		for _, member := range list.Members {
			switch {
			case len(member.PeerURLs) == 0:
			case member.PeerURLs[0] != m.peerURL():
				m.initial = append(m.initial, member.Name+"="+member.PeerURLs[0])
			case member.Name == "":
				added = true // it never started: a member has no name before that
			default:
				return fmt.Errorf("etcd member %s already has the address %s: delete that Node first", member.Name, m.Address)
			}
		}
		if !added {
			_, err = client.MemberAddAsLearner(ctx, []string{m.peerURL()})
		}
		return err
	})
}

// Arguments are the command line of the etcd process.
func (m *Member) Arguments(extra []string) []string {
	tls := func(name string) string { return m.dir.File("tls/etcd/" + name) }
	return config.Arguments(map[string]string{
		"name": m.Name, "data-dir": m.data,
		"listen-client-urls": localEndpoint + fmt.Sprintf(",https://%s:2379", m.Address), "advertise-client-urls": fmt.Sprintf("https://%s:2379", m.Address),
		"listen-peer-urls": "https://127.0.0.1:2380," + m.peerURL(), "initial-advertise-peer-urls": m.peerURL(), "listen-metrics-urls": "http://127.0.0.1:2381",
		"initial-cluster": strings.Join(m.initial, ","), "initial-cluster-state": m.state,
		"cert-file": tls("server-client.crt"), "key-file": tls("server-client.key"), "trusted-ca-file": tls("server-ca.crt"), "client-cert-auth": "true",
		"peer-cert-file": tls("peer-server-client.crt"), "peer-key-file": tls("peer-server-client.key"), "peer-trusted-ca-file": tls("peer-ca.crt"),
		"peer-client-cert-auth": "true", "heartbeat-interval": "500", "election-timeout": "5000", "log-level": "error",
		"unsafe-no-fsync": "true", // lab hosts share one kernel, whose page cache outlives each of them
	}, extra)
}

// Ready waits until the member votes and answers; it is the leader that promotes a learner.
func (m *Member) Ready(ctx context.Context) error {
	client, err := open(m.dir, localEndpoint)
	if err != nil {
		return err
	}
	defer client.Close()
	return process.Until(ctx, logrus.InfoLevel, "Waiting for etcd", 500*time.Millisecond, func() error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		status, err := client.Status(ctx, localEndpoint)
		if err != nil {
			return err
		}
		if status.IsLearner {
			return errors.New("this server is still a learner")
		}
		_, err = client.Get(ctx, "health") // a linearizable read: quorum is there
		return err
	})
}

// ClientURLs lists where the members answer clients.
func ClientURLs(ctx context.Context, dir cluster.Dir) ([]string, error) {
	client, err := open(dir, localEndpoint)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	list, err := client.MemberList(ctx)
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, member := range list.Members {
		if !member.IsLearner {
			urls = append(urls, member.ClientURLs...)
		}
	}
	return urls, nil
}

func open(dir cluster.Dir, endpoints ...string) (*clientv3.Client, error) {
	tls, err := transport.TLSInfo{
		CertFile: dir.File("tls/etcd/client.crt"), KeyFile: dir.File("tls/etcd/client.key"), TrustedCAFile: dir.File("tls/etcd/server-ca.crt"),
	}.ClientConfig()
	if err != nil {
		return nil, err
	}
	return clientv3.New(clientv3.Config{Endpoints: endpoints, TLS: tls, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
