package main

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var policyVersion = schema.GroupVersion{Group: "nvidia.com", Version: "v1"}

// ClusterPolicy is the part of nvidia.com/v1 ClusterPolicy that this stand-in carries out; chart/crds has the schema.
type ClusterPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Spec              PolicySpec   `json:"spec"`
	Status            PolicyStatus `json:"status,omitempty"`
}

// PolicySpec says which operands run, from which images, and where they are let in.
type PolicySpec struct {
	Operator struct {
		RuntimeClass string `json:"runtimeClass,omitempty"`
	} `json:"operator"`
	Daemonsets struct {
		Tolerations       []corev1.Toleration `json:"tolerations,omitempty"`
		PriorityClassName string              `json:"priorityClassName,omitempty"`
	} `json:"daemonsets"`
	DevicePlugin Operand `json:"devicePlugin"`
	GFD          Operand `json:"gfd"`
	Validator    Operand `json:"validator"`
}

// Operand names one operand's image.
type Operand struct {
	Enabled         *bool             `json:"enabled,omitempty"`
	Repository      string            `json:"repository"`
	Image           string            `json:"image"`
	Version         string            `json:"version"`
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
}

// PolicyStatus has state ready, notReady or ignored, and the conditions Ready and Error.
type PolicyStatus struct {
	State      string             `json:"state"`
	Namespace  string             `json:"namespace,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ClusterPolicyList is what the API server answers to a list.
type ClusterPolicyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []ClusterPolicy `json:"items"`
}

// DeepCopyObject copies what a reconcile may change: metadata and status. The specification is only read.
func (p *ClusterPolicy) DeepCopyObject() runtime.Object {
	out := *p
	p.ObjectMeta.DeepCopyInto(&out.ObjectMeta)
	out.Status.Conditions = append([]metav1.Condition(nil), p.Status.Conditions...)
	return &out
}

// DeepCopyObject copies every policy of the list.
func (l *ClusterPolicyList) DeepCopyObject() runtime.Object {
	out := *l
	out.Items = make([]ClusterPolicy, len(l.Items))
	for i := range l.Items {
		out.Items[i] = *l.Items[i].DeepCopyObject().(*ClusterPolicy)
	}
	return &out
}

func addPolicyToScheme(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(policyVersion, &ClusterPolicy{}, &ClusterPolicyList{})
	metav1.AddToGroupVersion(scheme, policyVersion)
	return nil
}
