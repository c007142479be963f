// Package server is `k3s server`: the control plane's components, the add-ons, and the node that carries them.
package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	utilnet "k8s.io/utils/net"

	"rackstart.dev/lab/k3s/internal/access"
	"rackstart.dev/lab/k3s/internal/agent"
	"rackstart.dev/lab/k3s/internal/cluster"
	"rackstart.dev/lab/k3s/internal/config"
	"rackstart.dev/lab/k3s/internal/deploy"
	"rackstart.dev/lab/k3s/internal/etcd"
	"rackstart.dev/lab/k3s/internal/pki"
	"rackstart.dev/lab/k3s/internal/process"
)

const manifestPause = 3 * time.Second // k3s looks every 15 s

type server struct {
	config    *config.Config
	group     *process.Group
	dir       cluster.Dir
	node      agent.Node
	settings  cluster.Settings
	serviceIP string // of the Service `kubernetes`
	api       string
	nodeToken string
	client    kubernetes.Interface
}

func (s *server) tls(name string) string  { return s.dir.File("tls/" + name) }
func (s *server) cred(name string) string { return s.dir.File("cred/" + name + ".kubeconfig") }

// Run starts everything in order and returns once systemd knows that the server is up.
func Run(ctx context.Context, group *process.Group, c *config.Config) error {
	s := &server{config: c, group: group, dir: cluster.Dir(c.Path("server")), api: "https://127.0.0.1:" + c.Text("https-listen-port")}
	for _, step := range []func(context.Context) error{
		s.settle, s.join, s.identify, s.startDatastore, s.startAPI, s.startControllers, s.startAddons, s.startNode,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	logrus.Infof("k3s is up and running")
	return process.Ready()
}

// settle makes the directories and the cluster-wide settings from the configuration.
func (s *server) settle(context.Context) (err error) {
	for _, name := range config.Packaged {
		if !slices.Contains(config.Carried, name) && !s.config.Disabled(name) {
			logrus.Warnf("%s is not carried by this stand-in: it goes on without", name)
		}
	}
	if s.node, err = agent.Identify(s.config); err != nil {
		return err
	}
	_, services, err := utilnet.ParseCIDRSloppy(s.config.Text("service-cidr"))
	if err != nil {
		return fmt.Errorf("service-cidr: %w", err)
	}
	first, err := utilnet.GetIndexedIP(services, 1)
	if err != nil {
		return fmt.Errorf("service-cidr: %w", err)
	}
	dns, err := utilnet.GetIndexedIP(services, 10)
	if err != nil {
		return fmt.Errorf("service-cidr: %w", err)
	}
	s.serviceIP = first.String()
	s.settings = cluster.Settings{
		ClusterCIDR: s.config.Text("cluster-cidr"), ServiceCIDR: s.config.Text("service-cidr"), ClusterDNS: s.config.Text("cluster-dns"),
		ClusterDomain: s.config.Text("cluster-domain"), FlannelBackend: s.config.Text("flannel-backend"), DisableKubeProxy: s.config.Bool("disable-kube-proxy"),
		DisableNetworkPolicy: s.config.Bool("disable-network-policy"),
	}
	if s.settings.ClusterDNS == "" {
		s.settings.ClusterDNS = dns.String()
	}
	var all error
	for _, name := range []string{"tls/etcd", "cred", "etc", "db", "manifests", "static"} {
		all = errors.Join(all, os.MkdirAll(s.dir.File(name), 0o700))
	}
	for _, file := range []string{s.config.Text("write-kubeconfig"), s.config.Path("agent", "x")} {
		all = errors.Join(all, os.MkdirAll(filepath.Dir(file), 0o755))
	}
	return errors.Join(all, s.dir.SaveSettings(s.settings))
}

// join takes over the cluster's CAs and passwords from the server named in the configuration, unless this server has a datastore of its own.
func (s *server) join(ctx context.Context) error {
	url := s.config.Text("server")
	if url == "" || etcd.Exists(s.dir) {
		return nil
	}
	configured, err := s.config.Secret("token")
	if err != nil {
		return err
	}
	return process.Until(ctx, logrus.ErrorLevel, "Failed to join the cluster at "+url, 3*time.Second, func() error {
		client, err := access.Connect(ctx, url, configured, "server")
		if err != nil {
			return err
		}
		files := map[string][]byte{}
		if err := client.JSON(ctx, "/v1-k3s/server-bootstrap", &files); err != nil {
			return err
		}
		if err := s.settings.Same(files[cluster.SettingsFile]); err != nil {
			return err
		}
		var all error
		for _, name := range s.dir.Shared() {
			all = errors.Join(all, pki.WriteFile(s.dir.File(name), files[name], 0o600))
		}
		return all
	})
}

func (s *server) identify(context.Context) error {
	return errors.Join(s.makeCertificates(), s.writeTokens(), s.writeAdmin())
}

func (s *server) startDatastore(ctx context.Context) error {
	var members cluster.Members
	if url := s.config.Text("server"); url != "" && !etcd.Exists(s.dir) {
		configured, err := s.config.Secret("token")
		if err != nil {
			return err
		}
		client, err := access.Connect(ctx, url, configured, "server")
		if err != nil {
			return err
		}
		if err := client.JSON(ctx, "/db/info", &members); err != nil {
			return err
		}
	}
	member, err := etcd.Prepare(ctx, s.dir, s.node.Name, s.node.IPs[0], s.config.Bool("cluster-init"), members.ClientURLs)
	if err != nil {
		return err
	}
	if err := s.group.Component("etcd", member.Arguments(s.config.List("etcd-arg"))); err != nil {
		return err
	}
	return member.Ready(ctx)
}

func (s *server) startAPI(ctx context.Context) error {
	if err := s.group.Component("kube-apiserver", s.apiServerArguments()); err != nil {
		return err
	}
	rest, err := clientcmd.BuildConfigFromFlags("", s.cred("supervisor"))
	if err != nil {
		return err
	}
	rest.QPS, rest.Burst = 50, 100
	client, err := kubernetes.NewForConfig(rest)
	if err != nil {
		return err
	}
	s.client = client
	return process.Until(ctx, logrus.InfoLevel, "Waiting for kube-apiserver", 500*time.Millisecond, func() error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		var status int
		body, err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&status).Raw()
		if err == nil && status != http.StatusOK {
			err = errors.New(strconv.Itoa(status))
		}
		if err != nil && len(body) > 0 {
			err = fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(string(body)), " "))
		}
		return err
	})
}

func (s *server) startControllers(context.Context) error {
	if err := s.group.Component("kube-controller-manager", s.controllerManagerArguments()); err != nil {
		return err
	}
	if !s.config.Bool("disable-scheduler") {
		if err := s.group.Component("kube-scheduler", s.schedulerArguments()); err != nil {
			return err
		}
	}
	if s.config.Bool("disable-helm-controller") {
		return nil
	}
	return s.group.Component("helm-controller", []string{
		"--kubeconfig=" + s.cred("supervisor"), "--node-name=" + s.node.Name, "--job-image=" + s.config.Text("helm-job-image"),
	})
}

func (s *server) startAddons(ctx context.Context) error {
	kubectl := deploy.Kubectl(s.cred("supervisor"))
	if err := deploy.Stage(ctx, kubectl, s.dir.File("manifests"), s.settings, s.config.Disabled); err != nil {
		return err
	}
	s.group.Go("manifests", func(ctx context.Context) error {
		return deploy.Watch(ctx, manifestPause, kubectl, s.dir.File("manifests"))
	})
	return nil
}

func (s *server) startNode(ctx context.Context) error {
	if err := agent.Start(ctx, s.group, s.config, s.node, s.api, s.nodeToken); err != nil {
		return err
	}
	s.group.Go("nodes", s.watchNodes)
	if etcd.Clustered(s.dir) {
		s.group.Go("etcd members", func(ctx context.Context) error { return etcd.Leader(ctx, s.dir, s.reportMembers) })
	}
	return nil
}
