// Package supervisor answers what k3s answers on the API's port beside Kubernetes: /ping, /cacerts, /static and the joining paths of /v1-k3s.
package supervisor

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"rackstart.dev/lab/k3s/internal/cluster"
	"rackstart.dev/lab/k3s/internal/etcd"
)

const requestLimit = 64 << 10

type supervisor struct {
	dir    cluster.Dir
	client kubernetes.Interface
}

// Wrap serves k3s's own paths and leaves every other to the API server's handler.
func Wrap(kubernetesAPI http.Handler, dir cluster.Dir, client kubernetes.Interface) http.Handler {
	s := &supervisor{dir, client}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "pong") })
	mux.HandleFunc("GET /cacerts", s.file("tls/server-ca.crt"))
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServer(http.Dir(dir.File("static")))))
	mux.HandleFunc("GET /v1-k3s/config", s.as("node", s.file(cluster.SettingsFile)))
	mux.HandleFunc("GET /v1-k3s/client-ca.crt", s.as("node", s.file("tls/client-ca.crt")))
	mux.HandleFunc("GET /v1-k3s/server-ca.crt", s.as("node", s.file("tls/server-ca.crt")))
	mux.HandleFunc("GET /v1-k3s/apiservers", s.as("node", s.apiServers))
	mux.HandleFunc("POST /v1-k3s/{certificate}", s.as("node", s.certificate))
	mux.HandleFunc("GET /v1-k3s/server-bootstrap", s.as("server", s.bootstrap))
	mux.HandleFunc("GET /db/info", s.as("server", s.members))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ours(r.URL.Path) {
			mux.ServeHTTP(w, r)
		} else {
			kubernetesAPI.ServeHTTP(w, r) // past the mux, which would clean paths that the API proxies as they are
		}
	})
}

func ours(path string) bool {
	for _, prefix := range []string{"/static/", "/v1-k3s/", "/db/"} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return path == "/ping" || path == "/cacerts"
}

// as asks for basic auth with the join password of a user.
func (s *supervisor) as(user string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		passwords, err := s.dir.Passwords()
		if err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		name, password, ok := r.BasicAuth()
		if !ok || name != user || subtle.ConstantTimeCompare([]byte(password), []byte(passwords[user])) != 1 {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

func (s *supervisor) file(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		data, err := os.ReadFile(s.dir.File(name))
		if err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		_, _ = w.Write(data)
	}
}

// apiServers lists address:port of every API server, as the `kubernetes` Service knows them.
func (s *supervisor) apiServers(w http.ResponseWriter, r *http.Request) {
	slices, err := s.client.DiscoveryV1().EndpointSlices("default").List(r.Context(), metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=kubernetes"})
	if err != nil {
		fail(w, http.StatusServiceUnavailable, err)
		return
	}
	addresses := []string{}
	for _, slice := range slices.Items {
		for _, port := range slice.Ports {
			for _, endpoint := range slice.Endpoints {
				for _, address := range endpoint.Addresses {
					addresses = append(addresses, fmt.Sprintf("%s:%d", address, *port.Port))
				}
			}
		}
	}
	answer(w, addresses)
}

// bootstrap hands a joining server what makes it one of the cluster.
func (s *supervisor) bootstrap(w http.ResponseWriter, _ *http.Request) {
	if !etcd.Clustered(s.dir) {
		fail(w, http.StatusBadRequest, fmt.Errorf("this server was not started with cluster-init: it has no embedded etcd that another server could join"))
		return
	}
	files := map[string][]byte{}
	for _, name := range append(s.dir.Shared(), cluster.SettingsFile) {
		data, err := os.ReadFile(s.dir.File(name))
		if err != nil {
			fail(w, http.StatusInternalServerError, err)
			return
		}
		files[name] = data
	}
	answer(w, files)
}

func (s *supervisor) members(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	urls, err := etcd.ClientURLs(ctx, s.dir)
	if err != nil {
		fail(w, http.StatusServiceUnavailable, err)
		return
	}
	answer(w, cluster.Members{ClientURLs: urls})
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		logrus.Warnf("answering a joining host: %v", err)
	}
}

func fail(w http.ResponseWriter, status int, err error) {
	logrus.Warnf("answering a joining host with %d: %v", status, err)
	http.Error(w, err.Error(), status)
}
