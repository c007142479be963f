package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// load writes the files (name: content, config.yaml or NAME.yaml of config.yaml.d) and loads them.
func load(t *testing.T, server bool, files map[string]string, env map[string]string, args ...string) (*Config, error) {
	t.Helper()
	main := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.Mkdir(main+".d", 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		path := main
		if name != "config.yaml" {
			path = filepath.Join(main+".d", name)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(server, append([]string{"--config", main}, args...), func(name string) string { return env[name] })
}

func TestMerge(t *testing.T) {
	c, err := load(t, true, map[string]string{
		"config.yaml": "node-name: a\nnode-label: [x=1]\nkubelet-arg: max-pods=10\ntls-san: 'a.example,10.0.0.1'\nlb-server-port: 16444\ncluster-init: true\n",
		"10.yaml":     "node-label+: [y=2]\nnode-name: b\n",
		"20.yaml":     "node-label+: z=3\nkubelet-arg: [v=2, 'feature-gates=A=true']\n",
	}, map[string]string{"K3S_TOKEN": "fromenv", "K3S_NODE_NAME": "fromenv"}, "--token=fromline", "--disable", "traefik,servicelb", "--disable=coredns")
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"node-name": "b", "token": "fromline", "lb-server-port": "16444", "cluster-cidr": "10.42.0.0/16"} {
		if got := c.Text(key); got != want {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	for key, want := range map[string][]string{
		"node-label": {"x=1", "y=2", "z=3"}, "kubelet-arg": {"v=2", "feature-gates=A=true"}, "tls-san": {"a.example", "10.0.0.1"},
		"disable": {"traefik", "servicelb", "coredns"}, "node-taint": nil,
	} {
		if got := c.List(key); !slices.Equal(got, want) {
			t.Errorf("%s = %q, want %q", key, got, want)
		}
	}
	if !c.Bool("cluster-init") || c.Bool("debug") || !c.Disabled("coredns") || c.Disabled("runtimes") {
		t.Error("booleans or disabled add-ons are wrong")
	}
}

func TestUnknownKeysWarn(t *testing.T) {
	c, err := load(t, false, map[string]string{"config.yaml": "node-lable: [a=b]\ncluster-init: true\n"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(c.Warnings, "\n"); !strings.Contains(all, "--node-lable") || !strings.Contains(all, "--cluster-init") {
		t.Errorf("an unknown key and a server's key on an agent are to be named: %s", all)
	}
}

func TestRefused(t *testing.T) {
	for content, word := range map[string]string{
		"datastore-endpoint: mysql://x": "datastore-endpoint", "selinux: true": "selinux", "flannel-backend: wireguard-native": "flannel-backend",
		"cluster-init: perhaps": "cluster-init", "node-label: {a: b}": "node-label", "token: [": "config.yaml", "etcd-s3: true": "README",
	} {
		if _, err := load(t, true, map[string]string{"config.yaml": content}, nil); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q: error %v does not name %q", content, err, word)
		}
	}
	if _, err := load(t, true, map[string]string{"config.yaml": "selinux: false\nvpn-auth: ''\n"}, nil); err != nil {
		t.Error("a refused key that is off is none:", err)
	}
	for _, args := range [][]string{{"--no-such=1"}, {"stray"}, {"--token"}} {
		if _, err := load(t, true, nil, nil, args...); err == nil {
			t.Errorf("arguments %q pass", args)
		}
	}
}

func TestArguments(t *testing.T) {
	got := Arguments(map[string]string{"v": "0", "max-pods": "110"}, []string{"max-pods=250", "feature-gates=A=true", "--feature-gates=B=true", "flag"})
	want := []string{"--feature-gates=A=true", "--feature-gates=B=true", "--flag=true", "--max-pods=250", "--v=0"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
