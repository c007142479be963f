package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	pciLabel     = "feature.node.kubernetes.io/pci-10de.present"
	presentLabel = "nvidia.com/gpu.present"
	recheck      = 5 * time.Second
)

type reconciler struct {
	client.Client
	namespace string
}

func runOperator(ctx context.Context) error {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, addPolicyToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	namespace := os.Getenv("OPERATOR_NAMESPACE")
	config, err := ctrl.GetConfig()
	if err != nil {
		return err
	}
	manager, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:                 scheme,
		HealthProbeBindAddress: ":8081",
		Cache:                  cache.Options{DefaultNamespaces: map[string]cache.Config{namespace: {}}},
	})
	if err != nil {
		return err
	}
	r := &reconciler{manager.GetClient(), namespace}
	everyPolicy := handler.EnqueueRequestsFromMapFunc(r.everyPolicy)
	err = ctrl.NewControllerManagedBy(manager).For(&ClusterPolicy{}).Owns(&appsv1.DaemonSet{}).
		Watches(&corev1.Node{}, everyPolicy).Watches(&corev1.Pod{}, everyPolicy).Complete(r)
	if err != nil {
		return err
	}
	if err := manager.AddHealthzCheck("healthz", healthz.Ping); err != nil {
		return err
	}
	if err := manager.AddReadyzCheck("readyz", healthz.Ping); err != nil {
		return err
	}
	return manager.Start(ctx)
}

func (r *reconciler) everyPolicy(ctx context.Context, _ client.Object) []reconcile.Request {
	var list ClusterPolicyList
	if err := r.List(ctx, &list); err != nil {
		return nil
	}
	var requests []reconcile.Request
	for _, policy := range list.Items {
		requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Name: policy.Name}})
	}
	return requests
}

// Reconcile labels the GPU nodes, applies the operands and reports in the policy's status which of them are not ready.
func (r *reconciler) Reconcile(ctx context.Context, request reconcile.Request) (reconcile.Result, error) {
	var policies ClusterPolicyList
	if err := r.List(ctx, &policies); err != nil {
		return reconcile.Result{}, err
	}
	var policy *ClusterPolicy
	oldest := ""
	var since metav1.Time
	for i, candidate := range policies.Items {
		if candidate.Name == request.Name {
			policy = &policies.Items[i]
		}
		if oldest == "" || candidate.CreationTimestamp.Before(&since) {
			oldest, since = candidate.Name, candidate.CreationTimestamp
		}
	}
	if policy == nil || policy.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	if oldest != policy.Name { // only one policy rules a cluster
		return reconcile.Result{}, r.report(ctx, policy, "ignored", "Ignored", "ClusterPolicy "+oldest+" is in force", false)
	}
	gpuNodes, err := r.labelNodes(ctx)
	if err != nil {
		return reconcile.Result{}, err
	}
	var notReady, reasons []string
	for _, o := range operands {
		reason, err := r.apply(ctx, policy, o)
		if err != nil {
			return reconcile.Result{}, err
		}
		if reason != "" {
			notReady, reasons = append(notReady, o.state), append(reasons, reason)
		}
	}
	if len(notReady) > 0 {
		message := fmt.Sprintf("ClusterPolicy is not ready, states not ready: %v (%s)", notReady, strings.Join(reasons, "; "))
		return reconcile.Result{RequeueAfter: recheck}, r.report(ctx, policy, "notReady", "OperandNotReady", message, false)
	}
	if gpuNodes == 0 { // as upstream: ready, although nothing is offered
		return reconcile.Result{}, r.report(ctx, policy, "ready", "NoGPUNodes", "No GPU node found, watching for new nodes to join the cluster.", true)
	}
	return reconcile.Result{}, r.report(ctx, policy, "ready", "Reconciled", "ClusterPolicy is ready as all resources have been successfully reconciled", true)
}

// apply brings one operand's DaemonSet to its wanted shape and returns why it is not ready, or "".
func (r *reconciler) apply(ctx context.Context, policy *ClusterPolicy, o operand) (string, error) {
	wanted := o.daemonSet(policy, r.namespace)
	if !o.enabled(policy.Spec) {
		return "", client.IgnoreNotFound(r.Delete(ctx, wanted))
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(wanted)
	if err != nil {
		return "", err
	}
	delete(content, "status")
	object := &unstructured.Unstructured{Object: content}
	if err := r.Apply(ctx, client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("gpu-operator"), client.ForceOwnership); err != nil {
		return "", err
	}
	var seen appsv1.DaemonSet
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &seen); err != nil {
		return "", err
	}
	status := seen.Status
	if status.ObservedGeneration == seen.Generation && status.NumberReady == status.DesiredNumberScheduled && status.UpdatedNumberScheduled == status.DesiredNumberScheduled {
		return "", nil
	}
	reason := fmt.Sprintf("%s: %d of %d pods ready", o.name, status.NumberReady, status.DesiredNumberScheduled)
	var pods corev1.PodList
	if err := r.List(ctx, &pods, client.InNamespace(r.namespace), client.MatchingLabels{"app": o.name}); err != nil {
		return "", err
	}
	for _, pod := range pods.Items {
		if why := pod.Annotations[validationAnnotation]; why != "" {
			reason += fmt.Sprintf(", on %s %s", pod.Spec.NodeName, why)
		}
	}
	return reason, nil
}

// labelNodes gives nodes with NVIDIA PCI devices the labels that let the operands in, takes them from nodes without, and counts the former.
func (r *reconciler) labelNodes(ctx context.Context) (int, error) {
	var nodes corev1.NodeList
	if err := r.List(ctx, &nodes); err != nil {
		return 0, err
	}
	count := 0
	for _, node := range nodes.Items {
		change := map[string]any{}
		hasGPU := node.Labels[pciLabel] == "true"
		wanted := map[string]string{presentLabel: "true"}
		for _, o := range operands {
			wanted[deployLabel+o.deploy] = "true"
		}
		for key, value := range wanted {
			if current, ok := node.Labels[key]; hasGPU && !ok { // a value set by hand stays: that is how one operand is kept off a node
				change[key] = value
			} else if !hasGPU && ok && current != "" {
				change[key] = nil
			}
		}
		if hasGPU {
			count++
		}
		if err := patchLabels(ctx, r.Client, node.Name, change); err != nil {
			return 0, err
		}
	}
	return count, nil
}

// patchLabels sets labels on a node; a nil value removes one.
func patchLabels(ctx context.Context, c client.Client, node string, labels map[string]any) error {
	if len(labels) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		return err
	}
	return c.Patch(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}, client.RawPatch(types.MergePatchType, patch))
}

func (r *reconciler) report(ctx context.Context, policy *ClusterPolicy, state, reason, message string, ready bool) error {
	before := policy.DeepCopyObject().(*ClusterPolicy)
	policy.Status.State, policy.Status.Namespace = state, r.namespace
	status := map[bool]metav1.ConditionStatus{true: metav1.ConditionTrue, false: metav1.ConditionFalse}
	changed := meta.SetStatusCondition(&policy.Status.Conditions, metav1.Condition{Type: "Ready", Status: status[ready], Reason: reason, Message: message, ObservedGeneration: policy.Generation})
	failed := metav1.Condition{Type: "Error", Status: status[!ready], Reason: reason, Message: message, ObservedGeneration: policy.Generation}
	changed = meta.SetStatusCondition(&policy.Status.Conditions, failed) || changed
	if !changed && before.Status.State == state && maps.Equal(before.Labels, policy.Labels) {
		return nil
	}
	return r.Status().Patch(ctx, policy, client.MergeFrom(before))
}
