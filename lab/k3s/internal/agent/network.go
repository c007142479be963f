package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"rackstart.dev/lab/k3s/internal/pki"
	"rackstart.dev/lab/k3s/internal/policy"
	"rackstart.dev/lab/k3s/internal/watch"
)

const routeProtocol = netlink.RouteProtocol(0x6b) // marks the routes that are ours to remove

// runNetwork keeps the pod network as flannel's host-gw does: a bridge for this node's pods and one route per other node.
func (a *agent) runNetwork(ctx context.Context) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	nodes := factory.Core().V1().Nodes()
	return watch.Loop(ctx, factory, 30*time.Second, func(bool) error {
		all, err := nodes.Lister().List(labels.Everything())
		if err == nil {
			err = a.connect(all)
		}
		if err != nil {
			logrus.Warnf("pod network: %v", err)
		}
		return nil
	}, nodes.Informer())
}

// runPolicies enforces the cluster's network policies for this node's pods, whoever made their network.
func (a *agent) runPolicies(ctx context.Context) error {
	client, err := a.client()
	if err != nil {
		return err
	}
	return policy.Run(ctx, client, a.node.Name)
}

// client speaks to the API server as the node's own k3s process.
func (a *agent) client() (*kubernetes.Clientset, error) {
	rest, err := clientcmd.BuildConfigFromFlags("", a.file("k3scontroller.kubeconfig"))
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(rest)
}

func (a *agent) connect(nodes []*corev1.Node) error {
	var all error
	wanted := map[string]net.IP{}
	for _, node := range nodes {
		if node.Spec.PodCIDR == "" {
			continue
		}
		if node.Name == a.node.Name {
			all = errors.Join(all, a.writeCNI(node.Spec.PodCIDR), masquerade(a.settings.ClusterCIDR, node.Spec.PodCIDR))
			continue
		}
		if address := internalIP(node); address != nil {
			wanted[node.Spec.PodCIDR] = address
		}
	}
	return errors.Join(all, routes(wanted))
}

func internalIP(node *corev1.Node) net.IP {
	for _, address := range node.Status.Addresses {
		if address.Type == corev1.NodeInternalIP {
			return net.ParseIP(address.Address)
		}
	}
	return nil
}

// routes makes our routes those wanted: pod network by next hop.
func routes(wanted map[string]net.IP) error {
	have, err := netlink.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return err
	}
	var all error
	for _, route := range have {
		if next, ok := wanted[route.Dst.String()]; !ok || !next.Equal(route.Gw) {
			all = errors.Join(all, netlink.RouteDel(&route))
		}
	}
	for network, next := range wanted {
		_, destination, err := net.ParseCIDR(network)
		if err != nil {
			return err
		}
		err = netlink.RouteReplace(&netlink.Route{Dst: destination, Gw: next, Protocol: routeProtocol})
		if err != nil {
			all = errors.Join(all, fmt.Errorf("route to %s via %s: %w", network, next, err))
		}
	}
	return all
}

func (a *agent) writeCNI(network string) error {
	text := fmt.Sprintf(`{"name":"cbr0","cniVersion":"1.0.0","plugins":[
{"type":"bridge","bridge":"cni0","isGateway":true,"hairpinMode":true,"forceAddress":true,
 "ipam":{"type":"host-local","ranges":[[{"subnet":%q}]],"routes":[{"dst":"0.0.0.0/0"}]}},
{"type":"portmap","capabilities":{"portMappings":true}}]}
`, network)
	return pki.WriteFile(a.file("etc/cni/net.d/10-flannel.conflist"), []byte(text), 0o600)
}

// masquerade hides pods behind the node towards everything but pods, in flannel's chains.
func masquerade(clusterCIDR, podCIDR string) error {
	nat := []string{
		"-m mark --mark 0x4000/0x4000 -j RETURN", "-s " + podCIDR + " -d " + clusterCIDR + " -j RETURN", "-s " + clusterCIDR + " -d " + podCIDR + " -j RETURN",
		"! -s " + clusterCIDR + " -d " + podCIDR + " -j RETURN", "-s " + clusterCIDR + " ! -d 224.0.0.0/4 -j MASQUERADE",
	}
	forward := []string{"-s " + clusterCIDR + " -j ACCEPT", "-d " + clusterCIDR + " -j ACCEPT"}
	return errors.Join(chain("nat", "POSTROUTING", "FLANNEL-POSTRTG", nat), chain("filter", "FORWARD", "FLANNEL-FWD", forward))
}

func chain(table, from, name string, rules []string) error {
	input := fmt.Sprintf("*%s\n:%s - [0:0]\n", table, name)
	for _, rule := range rules {
		input += "-A " + name + " " + rule + "\n"
	}
	command := exec.Command("iptables-restore", "--wait", "10", "--noflush")
	command.Stdin = strings.NewReader(input + "COMMIT\n")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("iptables chain %s: %w: %s", name, err, output)
	}
	if exec.Command("iptables", "--wait", "10", "-t", table, "-C", from, "-j", name).Run() == nil {
		return nil
	}
	if output, err := exec.Command("iptables", "--wait", "10", "-t", table, "-A", from, "-j", name).CombinedOutput(); err != nil {
		return fmt.Errorf("iptables jump to %s: %w: %s", name, err, output)
	}
	return nil
}
