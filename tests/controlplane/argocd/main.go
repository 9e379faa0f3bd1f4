// Deploys one object as Argo CD's application controller does, with Argo CD's own engine.
//
//	argocd sync [-server-side] [-replace] [-force] [-label] [-wait]   one sync operation; until it is healthy
//	argocd diff [-server-side] [-label]                               three-way, or by a server-side dry run
//
// An object with a hook annotation is run as a hook.
// The manifest is read from stdin as JSON; the last line of stdout is Argo CD's word for the outcome.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync/common"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/sync/hook"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"rejob.dev/tests/program"
)

const manager = "argocd-controller"

func main() {
	// The user agent, which stands in for the field manager where the engine sends none.
	os.Args[0] = "argocd-application-controller"
	flags := flag.NewFlagSet("argocd", flag.ExitOnError)
	serverSide := flags.Bool("server-side", false, "ServerSideApply=true, ServerSideDiff=true")
	replace := flags.Bool("replace", false, "Replace=true")
	force := flags.Bool("force", false, "Force=true")
	label := flags.Bool("label", false, "resource tracking by the label app.kubernetes.io/instance alone")
	wait := flags.Bool("wait", false, "wait until the object is healthy")
	usage := "argocd sync|diff [-server-side] [-replace] [-force] [-label] [-wait]"
	program.Main(usage, flags, func(command string, manifest map[string]any) error {
		target := &unstructured.Unstructured{Object: manifest}
		track(target, *label)
		return run(command, target, *serverSide, *replace, *force, *wait)
	})
}

// track marks the object as a part of the application.
func track(target *unstructured.Unstructured, label bool) {
	if label {
		labels := target.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels["app.kubernetes.io/instance"] = "app"
		target.SetLabels(labels)
		return
	}
	annotations := target.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations["argocd.argoproj.io/tracking-id"] =
		fmt.Sprintf("app:batch/Job:%s/%s", target.GetNamespace(), target.GetName())
	target.SetAnnotations(annotations)
}

func run(command string, target *unstructured.Unstructured, serverSide, replace, force, wait bool) error {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		return err
	}
	kubectl := &kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}
	ctx := context.Background()
	get := func() (*unstructured.Unstructured, error) {
		live, err := kubectl.GetResource(ctx, config, target.GroupVersionKind(), target.GetName(), target.GetNamespace())
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return live, err
	}
	if command == "diff" {
		live, err := get()
		if err != nil {
			return err
		}
		return printDiff(config, kubectl, target, live, serverSide)
	}
	err = doSync(config, kubectl, target, get,
		sync.WithServerSideApply(serverSide), sync.WithServerSideApplyManager(manager),
		sync.WithReplace(replace), sync.WithOperationSettings(false, false, force, false))
	if err != nil || !wait {
		return err
	}
	return healthy(get)
}

// healthy waits for up to three minutes.
func healthy(get func() (*unstructured.Unstructured, error)) error {
	for range 900 {
		live, err := get()
		if err == nil && live == nil {
			err = errors.New("the object is gone")
		}
		if err != nil {
			return err
		}
		status, err := health.GetResourceHealth(live, nil)
		if err != nil {
			return err
		}
		switch status.Status {
		case health.HealthStatusHealthy:
			fmt.Println(status.Status)
			return nil
		case health.HealthStatusDegraded:
			return fmt.Errorf("%s: %s", status.Status, status.Message)
		}
		time.Sleep(200 * time.Millisecond)
	}
	return errors.New("not healthy within three minutes")
}

func printDiff(config *rest.Config, kubectl *kube.KubectlCmd, target, live *unstructured.Unstructured, serverSide bool) error {
	options := []diff.Option{diff.WithManager(manager)}
	if serverSide {
		applier, cleanup, err := kubectl.ManageServerSideDiffDryRuns(config)
		if err != nil {
			return err
		}
		defer cleanup()
		_, parser, err := kubectl.LoadOpenAPISchema(config)
		if err != nil {
			return err
		}
		options = append(options, diff.WithServerSideDiff(true), diff.WithGVKParser(parser),
			diff.WithServerSideDryRunner(diff.NewK8sServerSideDryRunner(applier)))
	}
	result, err := diff.Diff(target, live, options...)
	if err != nil {
		return err
	}
	var predicted any
	if err := json.Unmarshal(result.PredictedLive, &predicted); err != nil {
		return err
	}
	if err := program.Print(predicted); err != nil {
		return err
	}
	if result.Modified {
		fmt.Println("OutOfSync")
	} else {
		fmt.Println("Synced")
	}
	return nil
}

// doSync looks at the live object anew before each step, as the application controller does.
func doSync(config *rest.Config, kubectl *kube.KubectlCmd, target *unstructured.Unstructured,
	get func() (*unstructured.Unstructured, error), options ...sync.SyncOpt) error {
	var phase common.OperationPhase
	var message string
	var results []common.ResourceSyncResult
	begun := metav1.Now()
	for {
		live, err := get()
		if err != nil {
			return err
		}
		operation, cleanup, err := sync.NewSyncContext("revision", state(target, live), config, config, kubectl,
			target.GetNamespace(), append(options, sync.WithLogr(logr.Discard()),
				sync.WithInitialState(phase, message, results, begun))...)
		if err != nil {
			return err
		}
		operation.Sync()
		cleanup()
		phase, message, results = operation.GetState()
		if phase.Completed() {
			for _, result := range results {
				fmt.Printf("%s: %s\n", result.Status, result.Message)
			}
			if phase != common.OperationSucceeded {
				return fmt.Errorf("%s: %s", phase, message)
			}
			fmt.Println(phase)
			return nil
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// state tells a hook from an object that stays.
func state(target, live *unstructured.Unstructured) sync.ReconciliationResult {
	if !hook.IsHook(target) {
		return sync.ReconciliationResult{
			Target: []*unstructured.Unstructured{target},
			Live:   []*unstructured.Unstructured{live},
		}
	}
	result := sync.ReconciliationResult{Hooks: []*unstructured.Unstructured{target}}
	if live != nil {
		result.Target, result.Live = []*unstructured.Unstructured{nil}, []*unstructured.Unstructured{live}
	}
	return result
}
