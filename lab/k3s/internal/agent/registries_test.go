package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func parse(t *testing.T, text string) (*registries, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "registries.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return loadRegistries(file)
}

func TestHosts(t *testing.T) {
	for name, c := range map[string]struct {
		yaml      string
		noDefault bool
		files     map[string]string
	}{
		"a rewrite becomes a path below the API's root": {
			yaml: `mirrors: {docker.io: {endpoint: ["http://10.77.0.2"], rewrite: {"^(.*)$": "docker.io/$1"}}}`,
			files: map[string]string{"docker.io": `server = "https://registry-1.docker.io"

[host."http://10.77.0.2/v2/docker.io"]
  capabilities = ["pull", "resolve"]
  override_path = true
`},
		},
		"TLS settings go with the endpoint they are for": {
			yaml: `
mirrors: {nvcr.io: {endpoint: ["https://mirror.example:5000"]}}
configs: {"mirror.example:5000": {tls: {ca_file: /ca.pem, cert_file: /c.pem, key_file: /k.pem}}}`,
			files: map[string]string{
				"nvcr.io": `server = "https://nvcr.io"

[host."https://mirror.example:5000"]
  capabilities = ["pull", "resolve"]
  ca = ["/ca.pem"]
  client = [["/c.pem", "/k.pem"]]
`, "mirror.example:5000": `server = "https://mirror.example:5000"

[host."https://mirror.example:5000"]
  capabilities = ["pull", "resolve"]
  ca = ["/ca.pem"]
  client = [["/c.pem", "/k.pem"]]
`},
		},
		"without the default endpoint a mirror is the only place": {
			yaml: `mirrors: {nvcr.io: {endpoint: ["http://m"]}, "*": {endpoint: ["http://all"]}}`, noDefault: true,
			files: map[string]string{
				"nvcr.io":  "server = \"http://m\"\n\n[host.\"http://m\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
				"_default": "\n[host.\"http://all\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := parse(t, c.yaml)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(t.TempDir(), "certs.d")
			if err := os.MkdirAll(filepath.Join(dir, "left.over"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := r.writeHosts(dir, c.noDefault); err != nil {
				t.Fatal(err)
			}
			made, _ := filepath.Glob(dir + "/*")
			if len(made) != len(c.files) {
				t.Errorf("directories: %v", made)
			}
			for host, want := range c.files {
				if got, err := os.ReadFile(filepath.Join(dir, host, "hosts.toml")); err != nil || string(got) != want {
					t.Errorf("%s: %v\n%s\nwant\n%s", host, err, got, want)
				}
			}
		})
	}
}

func TestAuth(t *testing.T) {
	r, err := parse(t, `configs: {m.example: {auth: {username: u, password: 'p"q'}}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := "\n[plugins.\"io.containerd.grpc.v1.cri\".registry.configs.\"m.example\".auth]\n  username = \"u\"\n  password = \"p\\\"q\"\n"
	if got := r.authTOML(); got != want {
		t.Errorf("got %s want %s", got, want)
	}
}

func TestRegistriesRefused(t *testing.T) {
	for text, word := range map[string]string{
		`mirrors: {docker.io: {rewrite: {"^library/(.*)$": "x/$1"}}}`:     "rewrite",
		`mirrors: {docker.io: {rewrite: {"^(.*)$": "x/$1", "^a$": "b"}}}`: "rewrite",
		`mirrors: {docker.io: {rewrite: {"^(.*)$": "$1/x"}}}`:             "rewrite",
		`mirrors: {docker.io: {endpoints: ["http://typing.error"]}}`:      "endpoints",
	} {
		if _, err := parse(t, text); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: error %v does not name %q", text, err, word)
		}
	}
	if _, err := loadRegistries("/no/such/file"); err != nil {
		t.Error("no file is no error:", err)
	}
}
