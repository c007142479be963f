package policy

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// unknown names the first part of a policy that is in none of the forms enforced here; "" if there is none.
func unknown(spec networkingv1.NetworkPolicySpec) string {
	if expressions(&spec.PodSelector) {
		return "podSelector.matchExpressions"
	}
	if len(spec.PolicyTypes) == 0 {
		return "policyTypes (empty)"
	}
	for _, direction := range spec.PolicyTypes {
		if !slices.Contains([]networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress}, direction) {
			return fmt.Sprintf("policyTypes (%q)", direction)
		}
	}
	for i, rule := range spec.Ingress {
		if part := unknownRule(rule.From, rule.Ports, "from"); part != "" {
			return fmt.Sprintf("ingress[%d].%s", i, part)
		}
	}
	for i, rule := range spec.Egress {
		if part := unknownRule(rule.To, rule.Ports, "to"); part != "" {
			return fmt.Sprintf("egress[%d].%s", i, part)
		}
	}
	return ""
}

func unknownRule(peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort, field string) string {
	for i, peer := range peers {
		var part string
		switch {
		case peer.IPBlock != nil:
			part = "ipBlock"
		case expressions(peer.PodSelector):
			part = "podSelector.matchExpressions"
		case expressions(peer.NamespaceSelector):
			part = "namespaceSelector.matchExpressions"
		case peer.PodSelector == nil && peer.NamespaceSelector == nil:
			part = "podSelector (none)"
		default:
			continue
		}
		return fmt.Sprintf("%s[%d].%s", field, i, part)
	}
	for i, port := range ports {
		var part string
		switch {
		case port.Protocol != nil && *port.Protocol != corev1.ProtocolTCP && *port.Protocol != corev1.ProtocolUDP:
			part = fmt.Sprintf("protocol (%s)", *port.Protocol)
		case port.Port == nil:
			part = "port (none)"
		case port.Port.Type != intstr.Int:
			part = fmt.Sprintf("port (the name %q)", port.Port.StrVal)
		case port.EndPort != nil:
			part = "endPort"
		default:
			continue
		}
		return fmt.Sprintf("ports[%d].%s", i, part)
	}
	return ""
}

func expressions(selector *metav1.LabelSelector) bool {
	return selector != nil && len(selector.MatchExpressions) > 0
}
