// Package policy enforces NetworkPolicies for the pods of one node with nftables, as k3s does with kube-router: those of the
// forms that it knows. A policy of any other form closes its pods, and that is said.
package policy

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// State is what the cluster says; the pods are those of all nodes.
type State struct {
	Pods       []*corev1.Pod
	Namespaces []*corev1.Namespace
	Policies   []*networkingv1.NetworkPolicy
}

// Refusal is a policy that is not enforced, and the part of it that is of no known form.
type Refusal struct {
	Policy *networkingv1.NetworkPolicy
	Part   string
}

// endpoint is a pod with an address of its own.
type endpoint struct {
	namespace string
	labels    labels.Set
	address   netip.Addr
	here      bool
}

// Compile gives the ruleset for the node's pods, always the same for the same state, and the policies that it does not carry out.
func Compile(node string, s State) (string, []Refusal) {
	pods := endpoints(node, s.Pods)
	namespaces := map[string]labels.Set{}
	for _, namespace := range s.Namespaces {
		namespaces[namespace.Name] = namespace.Labels
	}
	policies := slices.SortedFunc(slices.Values(s.Policies), func(a, b *networkingv1.NetworkPolicy) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	var r ruleset
	var refused []Refusal
	for _, policy := range policies {
		mine := subjects(policy, pods)
		if part := unknown(policy.Spec); part != "" {
			refused = append(refused, Refusal{policy, part})
			r.closed = append(r.closed, mine...)
			continue
		}
		meant := func(peers []networkingv1.NetworkPolicyPeer) []netip.Addr {
			return find(policy.Namespace, peers, pods, namespaces)
		}
		name := policy.Namespace + "/" + policy.Name
		if slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
			r.ingress.isolate(mine)
			for _, rule := range policy.Spec.Ingress {
				r.ingress.allow(name, mine, len(rule.From) == 0, meant(rule.From), rule.Ports)
			}
		}
		if slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeEgress) {
			r.egress.isolate(mine)
			for _, rule := range policy.Spec.Egress {
				r.egress.allow(name, mine, len(rule.To) == 0, meant(rule.To), rule.Ports)
			}
		}
	}
	return r.text(), refused
}

// endpoints leaves out pods in the host's network, which Kubernetes lets nobody police, and those that have ended: their addresses
// may be another pod's by now.
func endpoints(node string, pods []*corev1.Pod) []endpoint {
	var all []endpoint
	for _, pod := range pods {
		address, err := netip.ParseAddr(pod.Status.PodIP)
		ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
		if err != nil || !address.Is4() || ended || pod.Spec.HostNetwork {
			continue
		}
		all = append(all, endpoint{pod.Namespace, pod.Labels, address, pod.Spec.NodeName == node})
	}
	return all
}

// subjects are the addresses of this node's pods that the policy is about.
func subjects(policy *networkingv1.NetworkPolicy, pods []endpoint) []netip.Addr {
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	if err != nil {
		selector = labels.Everything() // rather too many are closed than too few
	}
	var found []netip.Addr
	for _, pod := range pods {
		if pod.here && pod.namespace == policy.Namespace && selector.Matches(pod.labels) {
			found = append(found, pod.address)
		}
	}
	return found
}

// find gives the addresses of pods that any of the peers means.
func find(own string, peers []networkingv1.NetworkPolicyPeer, pods []endpoint, namespaces map[string]labels.Set) []netip.Addr {
	var found []netip.Addr
	for _, peer := range peers {
		for _, pod := range pods {
			there := pod.namespace == own
			if peer.NamespaceSelector != nil {
				there = matches(peer.NamespaceSelector, namespaces[pod.namespace])
			}
			if there && (peer.PodSelector == nil || matches(peer.PodSelector, pod.labels)) {
				found = append(found, pod.address)
			}
		}
	}
	return found
}

func matches(selector *metav1.LabelSelector, set labels.Set) bool {
	return labels.SelectorFromSet(selector.MatchLabels).Matches(set)
}
