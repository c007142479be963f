package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/sirupsen/logrus"
	"sigs.k8s.io/yaml"

	"rackstart.dev/lab/k3s/internal/access"
	"rackstart.dev/lab/k3s/internal/cluster"
	"rackstart.dev/lab/k3s/internal/config"
	"rackstart.dev/lab/k3s/internal/policy"
	"rackstart.dev/lab/k3s/internal/process"
)

type agent struct {
	config   *config.Config
	group    *process.Group
	node     Node
	server   *access.Client
	settings cluster.Settings
}

func (a *agent) file(name string) string { return a.config.Path("agent", name) }

// Start makes this host a node of the cluster behind `server`, an address that outlives any one server where it can.
// It returns when the kubelet runs.
func Start(ctx context.Context, group *process.Group, c *config.Config, node Node, server, joinToken string) error {
	a := &agent{config: c, group: group, node: node}
	if err := a.makeDirectories(); err != nil {
		return err
	}
	if err := prepareKernel(); err != nil {
		return err
	}
	if err := a.join(ctx, server, joinToken); err != nil {
		return err
	}
	if err := a.startContainerd(ctx); err != nil {
		return err
	}
	if err := a.importImages(ctx); err != nil {
		return err
	}
	if err := a.startKubelet(); err != nil {
		return err
	}
	if a.settings.FlannelBackend != "none" {
		group.Go("pod network", a.runNetwork)
	}
	if !a.settings.DisableNetworkPolicy {
		group.Go("network policies", a.runPolicies)
	} else if err := policy.Remove(ctx); err != nil {
		logrus.Warnf("network policies: rules of a former run may be left: %v", err)
	}
	return a.startProxy()
}

func (a *agent) makeDirectories() error {
	var all error
	for _, name := range []string{"containerd", "images", "pod-manifests", "etc/cni/net.d", "etc/containerd", "etc/kubelet.conf.d"} {
		all = errors.Join(all, os.MkdirAll(a.file(name), 0o755))
	}
	return errors.Join(all, os.Chmod(a.config.Path("agent"), 0o755), os.MkdirAll(runDir+"/containerd", 0o711))
}

// join waits for a server, and goes on asking when token or node password are refused, in k3s's words.
func (a *agent) join(ctx context.Context, server, joinToken string) error {
	err := process.Until(ctx, logrus.ErrorLevel, "Failed to validate connection to cluster at "+server, 2*time.Second, func() (err error) {
		if a.server, err = access.Connect(ctx, server, joinToken, "node"); err != nil {
			return err
		}
		return a.server.JSON(ctx, "/v1-k3s/config", &a.settings)
	})
	if err != nil {
		return err
	}
	const waiting = "Waiting to retrieve agent configuration; server is not ready"
	return process.Until(ctx, logrus.InfoLevel, waiting, 2*time.Second, func() error { return a.fetchCertificates(ctx) })
}

// Run is `k3s agent`: it reaches the servers through a load balancer of its own.
func Run(ctx context.Context, group *process.Group, c *config.Config) error {
	joinToken, err := c.Secret("token")
	if err != nil {
		return err
	}
	if joinToken == "" {
		return errors.New("--token is required")
	}
	configured, err := url.Parse(c.Text("server"))
	if err != nil || configured.Scheme != "https" || configured.Host == "" {
		return errors.New("--server is required: https://HOST:6443")
	}
	node, err := Identify(c)
	if err != nil {
		return err
	}
	host := configured.Host
	if configured.Port() == "" {
		host = net.JoinHostPort(configured.Hostname(), "443")
	}
	if err := os.MkdirAll(c.Path("agent/etc"), 0o755); err != nil {
		return err
	}
	b := newBalancer(c.Path("agent/etc/k3s-agent-load-balancer.json"), host)
	listener, err := net.Listen("tcp", "127.0.0.1:"+c.Text("lb-server-port"))
	if err != nil {
		return err
	}
	group.Go("load balancer", func(ctx context.Context) error { return b.serve(ctx, listener) })
	local := fmt.Sprintf("https://%s", listener.Addr())
	if err := Start(ctx, group, c, node, local, joinToken); err != nil {
		return err
	}
	group.Go("servers", func(ctx context.Context) error { return follow(ctx, b, local, joinToken) })
	return process.Ready()
}

// follow keeps the balancer's list of servers up to date.
func follow(ctx context.Context, b *balancer, local, joinToken string) error {
	for {
		client, err := access.Connect(ctx, local, joinToken, "node")
		var servers []string
		if err == nil {
			err = client.JSON(ctx, "/v1-k3s/apiservers", &servers)
		}
		if err == nil {
			err = b.update(servers)
		}
		if err != nil && ctx.Err() == nil {
			logrus.Warnf("asking for the list of servers: %v", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(5 * time.Second):
		}
	}
}

func toYAML(value any) ([]byte, error) { return yaml.Marshal(value) }
