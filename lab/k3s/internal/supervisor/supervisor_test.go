package supervisor

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/util/cert"

	"rackstart.dev/lab/k3s/internal/access"
	"rackstart.dev/lab/k3s/internal/cluster"
	"rackstart.dev/lab/k3s/internal/pki"
)

// start serves a server's directory with CAs, passwords s3 (server) and n0de (node), in front of an API that answers with the path it was asked.
func start(t *testing.T) (*httptest.Server, cluster.Dir) {
	t.Helper()
	dir := cluster.Dir(t.TempDir())
	for _, name := range []string{"tls/etcd", "cred", "etc", "static", "db"} {
		if err := os.MkdirAll(dir.File(name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range cluster.Authorities {
		if _, err := pki.EnsureAuthority(name, dir.File("tls/"+name+".crt"), dir.File("tls/"+name+".key")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pki.EnsureKey(dir.File("tls/service.key")); err != nil {
		t.Fatal(err)
	}
	if err := dir.SavePasswords("s3", "n0de"); err != nil {
		t.Fatal(err)
	}
	if err := dir.SaveSettings(cluster.Settings{ClusterDomain: "cluster.local"}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir.File("static/chart.txt"), []byte("static"), 0o600); err != nil {
		t.Fatal(err)
	}
	port := int32(6443)
	client := fake.NewClientset(&discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Name: "kubernetes", Namespace: "default", Labels: map[string]string{"kubernetes.io/service-name": "kubernetes"}},
		Ports:      []discoveryv1.EndpointPort{{Port: &port}}, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"10.0.0.1", "10.0.0.2"}}},
	})
	api := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "api "+r.URL.Path) })
	server := httptest.NewServer(Wrap(api, dir, client))
	t.Cleanup(server.Close)
	return server, dir
}

func get(t *testing.T, url, user, password string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	response, err := http.DefaultTransport.RoundTrip(request) // follows no redirect
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestWhoMayReadWhat(t *testing.T) {
	server, dir := start(t)
	ca, err := os.ReadFile(dir.File("tls/server-ca.crt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path, user, password string
		status               int
		body                 string
	}{
		{"/ping", "", "", 200, "pong"},
		{"/cacerts", "", "", 200, string(ca)},
		{"/static/chart.txt", "", "", 200, "static"},
		{"/static/../cred/passwd", "", "", 307, ""},
		{"/readyz", "", "", 200, "api /readyz"},
		{"/api/v1/proxy//double/../path", "", "", 200, "api /api/v1/proxy//double/../path"},
		{"/v1-k3s/config", "", "", 401, ""},
		{"/v1-k3s/config", "node", "wrong", 401, ""},
		{"/v1-k3s/config", "node", "n0de", 200, "cluster.local"},
		{"/v1-k3s/apiservers", "node", "n0de", 200, `["10.0.0.1:6443","10.0.0.2:6443"]`},
		{"/v1-k3s/server-bootstrap", "node", "n0de", 401, ""},
		{"/v1-k3s/server-bootstrap", "node", "s3", 401, ""},
		{"/v1-k3s/server-bootstrap", "server", "s3", 400, "cluster-init"},
		{"/v1-k3s/nothing", "node", "n0de", 405, ""},
	} {
		status, body := get(t, server.URL+c.path, c.user, c.password)
		if status != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s as %q: %d %q, want %d with %q", c.path, c.user, status, body, c.status, c.body)
		}
	}
}

func TestBootstrapHandsOverTheCluster(t *testing.T) {
	server, dir := start(t)
	if err := os.MkdirAll(dir.File("db/etcd"), 0o700); err != nil {
		t.Fatal(err)
	}
	status, body := get(t, server.URL+"/v1-k3s/server-bootstrap", "server", "s3")
	files := map[string][]byte{}
	if err := json.Unmarshal([]byte(body), &files); err != nil || status != 200 {
		t.Fatal(status, err)
	}
	for _, name := range append(dir.Shared(), cluster.SettingsFile) {
		want, err := os.ReadFile(dir.File(name))
		if err != nil || !bytes.Equal(files[name], want) {
			t.Errorf("%s is not handed over as it is (%v)", name, err)
		}
	}
}

// certify asks for a certificate as a node with a password of its own.
func certify(t *testing.T, url, name, node, password string) (int, []*x509.Certificate) {
	t.Helper()
	key, err := pki.EnsureKey(filepath.Join(t.TempDir(), "key"))
	if err != nil {
		t.Fatal(err)
	}
	csr, err := pki.Request(key)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest(http.MethodPost, url+"/v1-k3s/"+name, bytes.NewReader(csr))
	if err != nil {
		t.Fatal(err)
	}
	request.SetBasicAuth("node", "n0de")
	for header, value := range map[string]string{access.NodeNameHeader: node, access.NodePasswordHeader: password, access.NodeIPHeader: "10.0.0.9"} {
		request.Header.Set(header, value)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	certs, _ := cert.ParseCertsPEM(body) // an error's text holds none
	return response.StatusCode, certs
}

func TestCertificatesNameTheNode(t *testing.T) {
	server, dir := start(t)
	for name, want := range map[string]struct {
		authority, common string
		organizations     []string
		usage             x509.ExtKeyUsage
	}{
		"client-kubelet.crt":        {"client-ca", "system:node:n1", []string{"system:nodes"}, x509.ExtKeyUsageClientAuth},
		"client-kube-proxy.crt":     {"client-ca", "system:kube-proxy", nil, x509.ExtKeyUsageClientAuth},
		"client-k3s-controller.crt": {"client-ca", "system:k3s-controller", nil, x509.ExtKeyUsageClientAuth},
		"serving-kubelet.crt":       {"server-ca", "n1", nil, x509.ExtKeyUsageServerAuth},
	} {
		status, certs := certify(t, server.URL, name, "N1", "pw")
		if status != 200 || len(certs) == 0 {
			t.Fatalf("%s: %d", name, status)
		}
		roots, err := cert.NewPool(dir.File("tls/" + want.authority + ".crt"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := certs[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{want.usage}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if subject := certs[0].Subject; subject.CommonName != want.common || !slices.Equal(subject.Organization, want.organizations) {
			t.Errorf("%s names %v", name, subject)
		}
		if name == "serving-kubelet.crt" && (certs[0].VerifyHostname("10.0.0.9") != nil || certs[0].VerifyHostname("n1") != nil) {
			t.Errorf("%s serves %v %v", name, certs[0].DNSNames, certs[0].IPAddresses)
		}
	}
}

func TestNodePassword(t *testing.T) {
	server, _ := start(t)
	for _, c := range []struct {
		node, password string
		status         int
	}{{"n1", "first", 200}, {"n1", "first", 200}, {"n1", "other", 403}, {"n2", "other", 200}, {"", "x", 400}, {"n3", "", 400}} {
		if status, _ := certify(t, server.URL, "client-kubelet.crt", c.node, c.password); status != c.status {
			t.Errorf("node %q with password %q: %d, want %d", c.node, c.password, status, c.status)
		}
	}
}

func TestNodePasswordIsKeptHashed(t *testing.T) {
	client := fake.NewClientset()
	if err := ensureNodePassword(t.Context(), client, "n1", "secret"); err != nil {
		t.Fatal(err)
	}
	secret, err := client.CoreV1().Secrets("kube-system").Get(t.Context(), "n1.node-password.k3s", metav1.GetOptions{})
	if err != nil || !*secret.Immutable || bytes.Contains(secret.Data["hash"], []byte("secret")) {
		t.Fatal(err, secret)
	}
}
