// Package access is how a joining host talks to a server: the CA checked against the token, then basic auth over that CA.
package access

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"rackstart.dev/lab/k3s/internal/token"
)

// Headers that name the node in a request for its certificates.
const (
	NodeNameHeader     = "k3s-Node-Name"
	NodePasswordHeader = "k3s-Node-Password"
	NodeIPHeader       = "k3s-Node-IP"
)

// ErrRejected is a node password that the cluster does not know for this name.
var ErrRejected = errors.New("Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry, " + //nolint:staticcheck // k3s's wording
	"try enabling a unique node name with the --with-node-id flag")

// Client speaks to one server, or to several through one address.
type Client struct {
	URL  string
	CA   []byte
	user string
	pass string
	http *http.Client
}

// Connect fetches the CA bundle, checks it against the token and speaks over it from then on. user is node or server.
func Connect(ctx context.Context, url, joinToken, user string) (*Client, error) {
	t, err := token.Parse(joinToken)
	if err != nil {
		return nil, err
	}
	url = strings.TrimSuffix(url, "/")
	blind := &Client{URL: url, http: httpClient(&tls.Config{InsecureSkipVerify: true})} // the token's hash says whether the CA is the right one
	bundle, err := blind.Get(ctx, "/cacerts")
	if err != nil {
		return nil, fmt.Errorf("failed to get CA certs: %w", err)
	}
	if err := t.Check(bundle); err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("%s/cacerts holds no certificate", url)
	}
	return &Client{url, bundle, user, t.Password, httpClient(&tls.Config{RootCAs: pool})}, nil
}

func httpClient(config *tls.Config) *http.Client {
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}
}

// At is the same server behind another address.
func (c *Client) At(url string) *Client {
	other := *c
	other.URL = url
	return &other
}

// Get reads a path.
func (c *Client) Get(ctx context.Context, path string) ([]byte, error) {
	return c.do(ctx, http.MethodGet, path, nil, nil)
}

// JSON reads a path into a value.
func (c *Client) JSON(ctx context.Context, path string, into any) error {
	data, err := c.Get(ctx, path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}

// Post sends a body with headers and reads the answer.
func (c *Client) Post(ctx context.Context, path string, body []byte, headers map[string]string) ([]byte, error) {
	return c.do(ctx, http.MethodPost, path, body, headers)
}

func (c *Client) do(ctx context.Context, method, path string, body []byte, headers map[string]string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.URL+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	if c.user != "" {
		request.SetBasicAuth(c.user, c.pass)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	data, err := io.ReadAll(io.LimitReader(response.Body, 8<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusForbidden && headers[NodePasswordHeader] != "" {
		return nil, ErrRejected
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s%s: %s: %s", c.URL, path, response.Status, strings.TrimSpace(string(data)))
	}
	return data, nil
}
