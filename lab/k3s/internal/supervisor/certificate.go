package supervisor

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"rackstart.dev/lab/k3s/internal/access"
	"rackstart.dev/lab/k3s/internal/pki"
)

// certificate signs the key in the request's body for the node that the headers name and its password proves.
func (s *supervisor) certificate(w http.ResponseWriter, r *http.Request) {
	node := strings.ToLower(r.Header.Get(access.NodeNameHeader))
	password := r.Header.Get(access.NodePasswordHeader)
	if node == "" || password == "" {
		fail(w, http.StatusBadRequest, fmt.Errorf("node name or node password not set"))
		return
	}
	authority, leaf := "client-ca", pki.Leaf{Client: true}
	switch r.PathValue("certificate") {
	case "client-kubelet.crt":
		leaf.CommonName, leaf.Organizations = "system:node:"+node, []string{"system:nodes"}
	case "client-kube-proxy.crt":
		leaf.CommonName = "system:kube-proxy"
	case "client-k3s-controller.crt":
		leaf.CommonName = "system:k3s-controller"
	case "serving-kubelet.crt":
		names := append([]string{node, "localhost", "127.0.0.1"}, strings.Split(r.Header.Get(access.NodeIPHeader), ",")...)
		authority, leaf = "server-ca", pki.Leaf{CommonName: node, Names: names}
	default:
		http.NotFound(w, r)
		return
	}
	if err := ensureNodePassword(r.Context(), s.client, node, password); err != nil {
		fail(w, http.StatusForbidden, fmt.Errorf("unable to verify password for node %s: %w", node, err))
		return
	}
	request, err := io.ReadAll(io.LimitReader(r.Body, requestLimit))
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	key, err := pki.RequestedKey(request)
	if err != nil {
		fail(w, http.StatusBadRequest, err)
		return
	}
	ca, err := s.dir.Authority(authority)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	issued, err := ca.Issue(leaf, key)
	if err != nil {
		fail(w, http.StatusInternalServerError, err)
		return
	}
	_, _ = w.Write(issued)
}
