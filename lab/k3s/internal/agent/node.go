// Package agent runs what makes a host a node: containerd, kubelet, kube-proxy and the pod network.
package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"

	"rackstart.dev/lab/k3s/internal/access"
	"rackstart.dev/lab/k3s/internal/config"
	"rackstart.dev/lab/k3s/internal/pki"
	"rackstart.dev/lab/k3s/internal/token"
)

const passwordFile = "/etc/rancher/node/password"

// Node is this host's identity in the cluster.
type Node struct {
	Name string
	IPs  []string
}

// Identify takes name and addresses from the configuration, or from the host.
func Identify(c *config.Config) (Node, error) {
	n := Node{Name: c.Text("node-name"), IPs: c.List("node-ip")}
	if n.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return n, err
		}
		n.Name = host
	}
	n.Name = strings.ToLower(n.Name)
	if len(n.IPs) == 0 {
		address, err := utilnet.ChooseHostInterface()
		if err != nil {
			return n, fmt.Errorf("no address for this node: %w; set node-ip", err)
		}
		n.IPs = []string{address.String()}
	}
	for _, address := range n.IPs {
		if net.ParseIP(address) == nil {
			return n, fmt.Errorf("node-ip %q is not an IP address", address)
		}
	}
	return n, nil
}

// password proves to the servers that this host is the one that registered under its name.
func password() (string, error) {
	data, err := os.ReadFile(passwordFile)
	if err == nil {
		return strings.TrimSpace(string(data)), nil
	}
	if !os.IsNotExist(err) {
		return "", err
	}
	fresh := token.Random()
	if err := os.MkdirAll(filepath.Dir(passwordFile), 0o755); err != nil {
		return "", err
	}
	return fresh, pki.WriteFile(passwordFile, []byte(fresh+"\n"), 0o600)
}

// fetchCertificates has the node's keys signed and writes certificates, CAs and kubeconfigs below the agent's directory.
func (a *agent) fetchCertificates(ctx context.Context) error {
	pass, err := password()
	if err != nil {
		return err
	}
	headers := map[string]string{
		access.NodeNameHeader: a.node.Name, access.NodePasswordHeader: pass, access.NodeIPHeader: strings.Join(a.node.IPs, ","),
	}
	for _, name := range []string{"serving-kubelet", "client-kubelet", "client-kube-proxy", "client-k3s-controller"} {
		key, err := pki.EnsureKey(a.file(name + ".key"))
		if err != nil {
			return err
		}
		request, err := pki.Request(key)
		if err != nil {
			return err
		}
		issued, err := a.server.Post(ctx, "/v1-k3s/"+name+".crt", request, headers)
		if err != nil {
			return err
		}
		if err := pki.WriteFile(a.file(name+".crt"), issued, 0o644); err != nil {
			return err
		}
	}
	for _, name := range []string{"client-ca.crt", "server-ca.crt"} {
		data, err := a.server.Get(ctx, "/v1-k3s/"+name)
		if err != nil {
			return err
		}
		if err := pki.WriteFile(a.file(name), data, 0o644); err != nil {
			return err
		}
	}
	var all error
	for kubeconfig, certificate := range map[string]string{"kubelet": "client-kubelet", "kubeproxy": "client-kube-proxy", "k3scontroller": "client-k3s-controller"} {
		all = errors.Join(all, pki.Kubeconfig{
			Server: a.server.URL, CA: a.file("server-ca.crt"), Cert: a.file(certificate + ".crt"), Key: a.file(certificate + ".key"),
		}.Write(a.file(kubeconfig+".kubeconfig"), 0o600))
	}
	return all
}
