package pki

import (
	"os"

	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfig names files of CA, certificate and key; with Embed their content stands in it instead.
type Kubeconfig struct {
	Server, CA, Cert, Key string
	Embed                 bool
}

// Write puts the kubeconfig into a file of the given mode.
func (k Kubeconfig) Write(file string, mode os.FileMode) error {
	cluster := &api.Cluster{Server: k.Server, CertificateAuthority: k.CA}
	user := &api.AuthInfo{ClientCertificate: k.Cert, ClientKey: k.Key}
	config := api.Config{
		Clusters: map[string]*api.Cluster{"default": cluster}, AuthInfos: map[string]*api.AuthInfo{"default": user},
		Contexts: map[string]*api.Context{"default": {Cluster: "default", AuthInfo: "default"}}, CurrentContext: "default",
	}
	if k.Embed {
		if err := api.FlattenConfig(&config); err != nil {
			return err
		}
	}
	data, err := clientcmd.Write(config)
	if err != nil {
		return err
	}
	return WriteFile(file, data, mode)
}
