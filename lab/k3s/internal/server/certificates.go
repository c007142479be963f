package server

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"rackstart.dev/lab/k3s/internal/cluster"
	"rackstart.dev/lab/k3s/internal/pki"
	"rackstart.dev/lab/k3s/internal/token"
)

// makeCertificates founds the CAs where there are none, and keeps this server's certificates and kubeconfigs.
func (s *server) makeCertificates() error {
	authorities := map[string]*pki.Authority{}
	for _, name := range cluster.Authorities {
		prefix := "k3s-"
		if strings.HasPrefix(name, "etcd/") {
			prefix = "etcd-"
		}
		authority, err := pki.EnsureAuthority(prefix+strings.TrimPrefix(name, "etcd/"), s.tls(name+".crt"), s.tls(name+".key"))
		if err != nil {
			return err
		}
		authorities[name] = authority
	}
	if _, err := pki.EnsureKey(s.tls("service.key")); err != nil {
		return err
	}
	addresses := append([]string{"localhost", "127.0.0.1"}, s.node.IPs...)
	api := append([]string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + s.settings.ClusterDomain, s.node.Name, s.serviceIP}, addresses...)
	api = append(api, s.config.List("tls-san")...)
	if address := s.config.Text("advertise-address"); address != "" {
		api = append(api, address)
	}
	masters := []string{"system:masters"}
	var all error
	for _, l := range []struct {
		authority, file string
		leaf            pki.Leaf
	}{
		{"server-ca", "serving-kube-apiserver", pki.Leaf{CommonName: "kube-apiserver", Names: unique(api)}},
		{"client-ca", "client-admin", pki.Leaf{CommonName: "system:admin", Organizations: masters, Client: true}},
		{"client-ca", "client-supervisor", pki.Leaf{CommonName: "system:k3s-supervisor", Organizations: masters, Client: true}},
		{"client-ca", "client-kube-apiserver", pki.Leaf{CommonName: "system:apiserver", Organizations: masters, Client: true}},
		{"client-ca", "client-controller", pki.Leaf{CommonName: "system:kube-controller-manager", Client: true}},
		{"client-ca", "client-scheduler", pki.Leaf{CommonName: "system:kube-scheduler", Client: true}},
		{"request-header-ca", "client-auth-proxy", pki.Leaf{CommonName: "system:auth-proxy", Client: true}},
		{"etcd/server-ca", "etcd/server-client", pki.Leaf{CommonName: "etcd-server", Names: addresses, Client: true}},
		{"etcd/server-ca", "etcd/client", pki.Leaf{CommonName: "etcd-client", Client: true}},
		{"etcd/peer-ca", "etcd/peer-server-client", pki.Leaf{CommonName: "etcd-peer", Names: addresses, Client: true}},
	} {
		all = errors.Join(all, authorities[l.authority].EnsureLeaf(l.leaf, s.tls(l.file+".crt"), s.tls(l.file+".key")))
	}
	for kubeconfig, certificate := range map[string]string{
		"admin": "client-admin", "supervisor": "client-supervisor", "controller": "client-controller", "scheduler": "client-scheduler",
	} {
		all = errors.Join(all, s.kubeconfig(certificate, false).Write(s.cred(kubeconfig), 0o600))
	}
	return all
}

func (s *server) kubeconfig(certificate string, embed bool) pki.Kubeconfig {
	return pki.Kubeconfig{Server: s.api, CA: s.tls("server-ca.crt"), Cert: s.tls(certificate + ".crt"), Key: s.tls(certificate + ".key"), Embed: embed}
}

// writeAdmin writes the kubeconfig that a person uses.
func (s *server) writeAdmin() error {
	mode, err := strconv.ParseUint(s.config.Text("write-kubeconfig-mode"), 8, 12)
	if err != nil {
		return fmt.Errorf("write-kubeconfig-mode: %w", err)
	}
	return s.kubeconfig("client-admin", true).Write(s.config.Text("write-kubeconfig"), os.FileMode(mode))
}

// writeTokens keeps the passwords that joining hosts are asked for, and the files a person reads them from.
func (s *server) writeTokens() error {
	serverPassword, nodePassword, err := s.passwords()
	if err != nil {
		return err
	}
	if err := s.dir.SavePasswords(serverPassword, nodePassword); err != nil {
		return err
	}
	bundle, err := os.ReadFile(s.tls("server-ca.crt"))
	if err != nil {
		return err
	}
	s.nodeToken = token.Format(bundle, "node", nodePassword)
	if err := pki.WriteFile(s.dir.File("token"), []byte(token.Format(bundle, "server", serverPassword)+"\n"), 0o600); err != nil {
		return err
	}
	if err := link("token", s.dir.File("node-token")); err != nil {
		return err
	}
	if nodePassword == serverPassword {
		return link("token", s.dir.File("agent-token"))
	}
	_ = os.Remove(s.dir.File("agent-token")) // it may be the link of a former start
	return pki.WriteFile(s.dir.File("agent-token"), []byte(s.nodeToken+"\n"), 0o600)
}

// passwords are those of the configuration, else those of a former start, else new ones; a changed server token is refused as in k3s.
func (s *server) passwords() (serverPassword, nodePassword string, err error) {
	known, err := s.dir.Passwords()
	if err != nil && !os.IsNotExist(err) {
		return "", "", err
	}
	configured, err := s.config.Secret("token")
	if err != nil {
		return "", "", err
	}
	agent, err := s.config.Secret("agent-token")
	if err != nil {
		return "", "", err
	}
	if configured != "" {
		t, err := token.Parse(configured)
		if err != nil {
			return "", "", err
		}
		if t.User != "" && t.User != "server" {
			return "", "", fmt.Errorf("token is one of user %q: a server needs the server token", t.User)
		}
		serverPassword = t.Password
	}
	if known["server"] != "" {
		if serverPassword != "" && serverPassword != known["server"] {
			return "", "", errors.New("bootstrap data already found and encrypted with different token")
		}
		serverPassword = known["server"]
	}
	if serverPassword == "" {
		serverPassword = token.Random()
	}
	nodePassword = serverPassword
	if agent != "" {
		nodePassword = agent
	}
	return serverPassword, nodePassword, nil
}

func link(target, name string) error {
	if have, err := os.Readlink(name); err == nil && have == target {
		return nil
	}
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.Symlink(target, name)
}

func unique(names []string) []string {
	seen := map[string]bool{}
	var once []string
	for _, name := range names {
		if !seen[name] {
			seen[name], once = true, append(once, name)
		}
	}
	return once
}
