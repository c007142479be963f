package agent

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"sigs.k8s.io/yaml"

	"rackstart.dev/lab/k3s/internal/pki"
)

// registries is registries.yaml.
type registries struct {
	Mirrors map[string]struct {
		Endpoint []string          `json:"endpoint"`
		Rewrite  map[string]string `json:"rewrite"`
	} `json:"mirrors"`
	Configs map[string]registryConfig `json:"configs"`
}

type registryConfig struct {
	Auth *registryAuth `json:"auth"`
	TLS  *registryTLS  `json:"tls"`
}

type registryAuth struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identity_token"`
}

type registryTLS struct {
	CAFile             string `json:"ca_file"`
	CertFile           string `json:"cert_file"`
	KeyFile            string `json:"key_file"`
	InsecureSkipVerify bool   `json:"insecure_skip_verify"`
}

func loadRegistries(file string) (*registries, error) {
	r := &registries{}
	data, err := os.ReadFile(file)
	if os.IsNotExist(err) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	if err := yaml.UnmarshalStrict(data, r); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for host, mirror := range r.Mirrors {
		if _, err := prefixOf(mirror.Rewrite); err != nil {
			return nil, fmt.Errorf("%s: mirrors: %s: %w", file, host, err)
		}
	}
	return r, nil
}

// prefixOf reads the one form of rewrite that a containerd without k3s's patch can be told of: everything below one path.
func prefixOf(rewrite map[string]string) (string, error) {
	if len(rewrite) == 0 {
		return "", nil
	}
	replacement, ok := rewrite["^(.*)$"]
	prefix, whole := strings.CutSuffix(replacement, "/$1")
	if !ok || len(rewrite) > 1 || !whole || strings.Contains(prefix, "$") {
		return "", fmt.Errorf(`rewrite %v: this stand-in carries only "^(.*)$": "PREFIX/$1"`, rewrite)
	}
	return prefix, nil
}

// writeHosts replaces certs.d with one hosts.toml per registry that has mirrors or TLS settings.
func (r *registries) writeHosts(dir string, noDefaultEndpoint bool) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	hosts := map[string]bool{}
	for host := range r.Mirrors {
		hosts[host] = true
	}
	for host, config := range r.Configs {
		if config.TLS != nil {
			hosts[host] = true
		}
	}
	for host := range hosts {
		text, err := r.hostsTOML(host, noDefaultEndpoint)
		if err != nil {
			return err
		}
		name := host
		if host == "*" {
			name = "_default"
		}
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			return err
		}
		if err := pki.WriteFile(filepath.Join(dir, name, "hosts.toml"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *registries) hostsTOML(host string, noDefaultEndpoint bool) (string, error) {
	var text strings.Builder
	mirror := r.Mirrors[host]
	prefix, err := prefixOf(mirror.Rewrite)
	if err != nil {
		return "", err
	}
	endpoints := mirror.Endpoint
	switch {
	case host == "*":
	case noDefaultEndpoint && len(endpoints) > 0: // the last endpoint is the only other place that containerd would ask
		fmt.Fprintf(&text, "server = %q\n", endpointURL(endpoints[len(endpoints)-1], prefix))
	default:
		fmt.Fprintf(&text, "server = %q\n", "https://"+upstream(host))
		if r.Configs[host].TLS != nil && !slices.Contains(endpoints, "https://"+host) {
			endpoints = append(slices.Clone(endpoints), "https://"+host)
		}
	}
	for _, endpoint := range endpoints {
		address, err := url.Parse(endpointURL(endpoint, prefix))
		if err != nil {
			return "", fmt.Errorf("mirrors: %s: endpoint %q: %w", host, endpoint, err)
		}
		fmt.Fprintf(&text, "\n[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", address)
		if address.Path != "" {
			text.WriteString("  override_path = true\n")
		}
		if tls := r.Configs[address.Host].TLS; tls != nil {
			text.WriteString(tls.toml())
		}
	}
	return text.String(), nil
}

func (t registryTLS) toml() string {
	var text strings.Builder
	if t.CAFile != "" {
		fmt.Fprintf(&text, "  ca = [%q]\n", t.CAFile)
	}
	if t.CertFile != "" {
		fmt.Fprintf(&text, "  client = [[%q, %q]]\n", t.CertFile, t.KeyFile)
	}
	if t.InsecureSkipVerify {
		text.WriteString("  skip_verify = true\n")
	}
	return text.String()
}

// endpointURL is the endpoint with the API's root, below which a rewrite's prefix lies, spelled out where there is one.
func endpointURL(endpoint, prefix string) string {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	endpoint = strings.TrimSuffix(endpoint, "/")
	if prefix == "" {
		return endpoint
	}
	return strings.TrimSuffix(endpoint, "/v2") + "/v2/" + prefix
}

func upstream(host string) string {
	if host == "docker.io" {
		return "registry-1.docker.io"
	}
	return host
}

// authTOML are the registries' credentials for containerd's configuration, sorted by host.
func (r *registries) authTOML() string {
	var hosts []string
	for host, config := range r.Configs {
		if config.Auth != nil {
			hosts = append(hosts, host)
		}
	}
	sort.Strings(hosts)
	var text strings.Builder
	for _, host := range hosts {
		auth := r.Configs[host].Auth
		fmt.Fprintf(&text, "\n[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.%q.auth]\n", host)
		for _, pair := range [][2]string{{"username", auth.Username}, {"password", auth.Password}, {"auth", auth.Auth}, {"identitytoken", auth.IdentityToken}} {
			if pair[1] != "" {
				fmt.Fprintf(&text, "  %s = %q\n", pair[0], pair[1])
			}
		}
	}
	return text.String()
}
