package server

import (
	"rackstart.dev/lab/k3s/internal/components"
	"rackstart.dev/lab/k3s/internal/config"
	"rackstart.dev/lab/k3s/internal/etcd"
)

func (s *server) apiServerArguments() []string {
	issuer := "https://kubernetes.default.svc." + s.settings.ClusterDomain
	defaults := map[string]string{
		components.ServerDirFlag: string(s.dir),
		"secure-port":            s.config.Text("https-listen-port"), "advertise-address": s.node.IPs[0], "allow-privileged": "true",
		"etcd-servers": "https://127.0.0.1:2379", "etcd-cafile": s.tls("etcd/server-ca.crt"),
		"etcd-certfile": s.tls("etcd/client.crt"), "etcd-keyfile": s.tls("etcd/client.key"),
		"tls-cert-file": s.tls("serving-kube-apiserver.crt"), "tls-private-key-file": s.tls("serving-kube-apiserver.key"),
		"client-ca-file": s.tls("client-ca.crt"), "anonymous-auth": "false",
		"authorization-mode": "Node,RBAC", "enable-admission-plugins": "NodeRestriction", "enable-bootstrap-token-auth": "true",
		"requestheader-client-ca-file": s.tls("request-header-ca.crt"), "requestheader-allowed-names": "system:auth-proxy",
		"requestheader-username-headers": "X-Remote-User", "requestheader-group-headers": "X-Remote-Group",
		"requestheader-extra-headers-prefix": "X-Remote-Extra-",
		"proxy-client-cert-file":             s.tls("client-auth-proxy.crt"), "proxy-client-key-file": s.tls("client-auth-proxy.key"),
		"kubelet-certificate-authority": s.tls("server-ca.crt"), "kubelet-preferred-address-types": "InternalIP,ExternalIP,Hostname",
		"kubelet-client-certificate": s.tls("client-kube-apiserver.crt"), "kubelet-client-key": s.tls("client-kube-apiserver.key"),
		"service-account-key-file": s.tls("service.key"), "service-account-signing-key-file": s.tls("service.key"),
		"service-account-issuer": issuer, "api-audiences": issuer + ",k3s",
		"service-cluster-ip-range": s.settings.ServiceCIDR, "service-node-port-range": s.config.Text("service-node-port-range"),
		"enable-aggregator-routing": "true", "profiling": "false", "storage-backend": "etcd3",
	}
	if address := s.config.Text("advertise-address"); address != "" {
		defaults["advertise-address"] = address
	}
	return config.Arguments(defaults, s.config.List("kube-apiserver-arg"))
}

func (s *server) controllerManagerArguments() []string {
	defaults := map[string]string{
		"kubeconfig": s.cred("controller"), "authentication-kubeconfig": s.cred("controller"), "authorization-kubeconfig": s.cred("controller"),
		"bind-address": "127.0.0.1", "profiling": "false", "leader-elect": s.leaderElection(),
		"allocate-node-cidrs": "true", "cluster-cidr": s.settings.ClusterCIDR, "service-cluster-ip-range": s.settings.ServiceCIDR,
		"root-ca-file": s.tls("server-ca.crt"), "service-account-private-key-file": s.tls("service.key"), "use-service-account-credentials": "true",
		"controllers": "*,tokencleaner",
	}
	for signer, authority := range map[string]string{
		"kube-apiserver-client": "client-ca", "kubelet-client": "client-ca", "kubelet-serving": "server-ca", "legacy-unknown": "server-ca",
	} {
		defaults["cluster-signing-"+signer+"-cert-file"] = s.tls(authority + ".crt")
		defaults["cluster-signing-"+signer+"-key-file"] = s.tls(authority + ".key")
	}
	return config.Arguments(defaults, s.config.List("kube-controller-manager-arg"))
}

func (s *server) schedulerArguments() []string {
	return config.Arguments(map[string]string{
		"kubeconfig": s.cred("scheduler"), "authentication-kubeconfig": s.cred("scheduler"), "authorization-kubeconfig": s.cred("scheduler"),
		"bind-address": "127.0.0.1", "profiling": "false", "leader-elect": s.leaderElection(),
	}, s.config.List("kube-scheduler-arg"))
}

// leaderElection is off where no second server can join, as in k3s: a restart then waits for no lease.
func (s *server) leaderElection() string {
	if etcd.Clustered(s.dir) {
		return "true"
	}
	return "false"
}
