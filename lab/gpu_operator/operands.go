package main

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

const deployLabel = "nvidia.com/gpu.deploy."

// operand is one DaemonSet that the operator owns. Its name is upstream's, and so is that of the state it is reported as.
type operand struct {
	name, state, deploy, subcommand string
	image                           func(PolicySpec) Operand
	shape                           func(*corev1.PodSpec)
}

var operands = []operand{
	{"nvidia-operator-validator", "state-operator-validation", "operator-validator", "sleep", func(s PolicySpec) Operand { return s.Validator }, validateFirst},
	{"nvidia-device-plugin-daemonset", "state-device-plugin", "device-plugin", "device-plugin", func(s PolicySpec) Operand { return s.DevicePlugin }, offerDevices},
	{"gpu-feature-discovery", "gpu-feature-discovery", "gpu-feature-discovery", "gpu-feature-discovery", func(s PolicySpec) Operand { return s.GFD }, discoverGPUs},
}

func (o operand) enabled(spec PolicySpec) bool { return ptr.Deref(o.image(spec).Enabled, true) }

func (o operand) daemonSet(policy *ClusterPolicy, namespace string) *appsv1.DaemonSet {
	image := o.image(policy.Spec)
	labels := map[string]string{"app": o.name}
	pod := corev1.PodSpec{
		ServiceAccountName:           o.name,
		AutomountServiceAccountToken: ptr.To(false),
		RuntimeClassName:             ptr.To(policy.Spec.Operator.RuntimeClass),
		PriorityClassName:            policy.Spec.Daemonsets.PriorityClassName,
		NodeSelector:                 map[string]string{deployLabel + o.deploy: "true"},
		Tolerations:                  policy.Spec.Daemonsets.Tolerations,
		Containers: []corev1.Container{{
			Name:            o.name,
			Image:           image.Repository + "/" + image.Image + ":" + image.Version,
			ImagePullPolicy: image.ImagePullPolicy,
			Args:            []string{o.subcommand},
			Env: []corev1.EnvVar{
				{Name: "NODE_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "spec.nodeName"}}},
				{Name: "POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.name"}}},
				{Name: "NAMESPACE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: "metadata.namespace"}}},
			},
			// root and chroot, because the host's nvidia-smi is asked where the real operands would load the host's NVML
			SecurityContext: &corev1.SecurityContext{
				RunAsUser: ptr.To[int64](0), AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
				Capabilities:   &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"SYS_CHROOT"}},
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
		}},
	}
	mountHost(&pod, "host", "/", "/host", true)
	o.shape(&pod)
	return &appsv1.DaemonSet{
		TypeMeta: metav1.TypeMeta{APIVersion: "apps/v1", Kind: "DaemonSet"},
		ObjectMeta: metav1.ObjectMeta{
			Name: o.name, Namespace: namespace,
			Labels:          map[string]string{"app": o.name, "app.kubernetes.io/part-of": "gpu-operator"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: policyVersion.String(), Kind: "ClusterPolicy", Name: policy.Name, UID: policy.UID, Controller: ptr.To(true)}},
		},
		Spec: appsv1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod},
		},
	}
}

// validateFirst turns the validator's work into an init container: the pod is ready once driver, toolkit and plugin are.
func validateFirst(pod *corev1.PodSpec) {
	pod.AutomountServiceAccountToken = ptr.To(true)
	first := *pod.Containers[0].DeepCopy()
	first.Name, first.Args = "validation", []string{"validator"}
	pod.InitContainers = []corev1.Container{first}
	idle := &pod.Containers[0]
	idle.Env, idle.VolumeMounts = nil, nil
	idle.SecurityContext.RunAsUser, idle.SecurityContext.Capabilities.Add = ptr.To[int64](65532), nil
}

func offerDevices(pod *corev1.PodSpec) {
	mountHost(pod, "device-plugins", "/var/lib/kubelet/device-plugins", "/var/lib/kubelet/device-plugins", false)
	pod.Containers[0].ReadinessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/readyz", Port: pluginProbePort}},
		PeriodSeconds: 2,
	}
}

func discoverGPUs(pod *corev1.PodSpec) { pod.AutomountServiceAccountToken = ptr.To(true) }

func mountHost(pod *corev1.PodSpec, name, source, target string, readOnly bool) {
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: source}}})
	mount := corev1.VolumeMount{Name: name, MountPath: target, ReadOnly: readOnly, MountPropagation: ptr.To(corev1.MountPropagationHostToContainer)}
	pod.Containers[0].VolumeMounts = append(pod.Containers[0].VolumeMounts, mount)
}
