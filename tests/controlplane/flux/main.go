// Deploys one object as Flux's kustomize-controller does, with Flux's own library.
//
//	flux apply [-force] [-wait]   dry run, then a server-side apply where it shows a change
//	flux diff                     the dry run only
//
// The manifest is read from stdin as JSON; the last line of stdout is what Flux calls the outcome.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/cli-utils/pkg/kstatus/polling/engine"
	"github.com/fluxcd/pkg/runtime/statusreaders"
	"github.com/fluxcd/pkg/ssa"
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/tools/clientcmd"
	"rejob.dev/tests/program"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const controller = "kustomize-controller"

func main() {
	log.SetLogger(logr.Discard())
	flags := flag.NewFlagSet("flux", flag.ExitOnError)
	force := flags.Bool("force", false, "spec.force: delete and create what cannot be changed")
	wait := flags.Bool("wait", false, "spec.wait: wait until the object is ready")
	program.Main("flux apply|diff [-force] [-wait]", flags, func(command string, manifest map[string]any) error {
		return run(command, &unstructured.Unstructured{Object: manifest}, *force, *wait)
	})
}

func run(command string, object *unstructured.Unstructured, force, wait bool) error {
	manager, err := resourceManager()
	if err != nil {
		return err
	}
	objects := []*unstructured.Unstructured{object}
	manager.SetOwnerLabels(objects, "app", object.GetNamespace())
	ctx := context.Background()
	if command == "diff" {
		entry, _, merged, err := manager.Diff(ctx, object, ssa.DefaultDiffOptions())
		if err != nil {
			return err
		}
		if merged != nil {
			if err := program.Print(merged.Object); err != nil {
				return err
			}
		}
		fmt.Println(entry.Action)
		return nil
	}
	options := ssa.DefaultApplyOptions()
	options.Force = force
	options.Cleanup = cleanup()
	changes, err := manager.ApplyAllStaged(ctx, objects, options)
	if err != nil {
		return err
	}
	for _, entry := range changes.Entries {
		fmt.Println(entry.Action)
	}
	if !wait {
		return nil
	}
	patience := ssa.WaitOptions{Interval: time.Second, Timeout: 3 * time.Minute, FailFast: true}
	return manager.WaitForSet(changes.ToObjMetadataSet(), patience)
}

// resourceManager is set up as the controller sets it up for a Kustomization.
func resourceManager() (*ssa.ResourceManager, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return nil, err
	}
	kube, err := client.New(config, client.Options{})
	if err != nil {
		return nil, err
	}
	readers := polling.Options{CustomStatusReaders: []engine.StatusReader{
		statusreaders.NewCustomJobStatusReader(kube.RESTMapper()),
	}}
	poller := polling.NewStatusPoller(kube, kube.RESTMapper(), readers)
	owner := ssa.Owner{Field: controller, Group: "kustomize.toolkit.fluxcd.io"}
	return ssa.NewResourceManager(kube, poller, owner), nil
}

// cleanup is what the controller takes away from objects that kubectl made.
func cleanup() ssa.ApplyCleanupOptions {
	return ssa.ApplyCleanupOptions{
		Annotations: []string{"kubectl.kubernetes.io/last-applied-configuration"},
		FieldManagers: []ssa.FieldManager{
			{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationApply},
			{Name: "kubectl", OperationType: metav1.ManagedFieldsOperationUpdate},
			{Name: "before-first-apply", OperationType: metav1.ManagedFieldsOperationUpdate},
			{Name: controller, OperationType: metav1.ManagedFieldsOperationUpdate},
		},
		Exclusions: map[string]string{"kustomize.toolkit.fluxcd.io/ssa": "Merge"},
	}
}
