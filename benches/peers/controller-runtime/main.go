// A mutating webhook on controller-runtime, as a day's work gives it; the bench "peers" builds it.
//
// controller-runtime PORT FOLDER: gives a created Job a TTL and the hash of its template, and lets an
// update pass, comparing the templates. It writes a line of JSON per review. The folder holds tls.crt
// and tls.key.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"strconv"

	"go.uber.org/zap/zapcore"
	admissionv1 "k8s.io/api/admission/v1"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"
	"sigs.k8s.io/controller-runtime/pkg/webhook"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

type jobs struct {
	decoder admission.Decoder
}

func (j *jobs) Handle(ctx context.Context, request admission.Request) admission.Response {
	job := &batchv1.Job{}
	if err := j.decoder.Decode(request, job); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	if request.Operation == admissionv1.Update {
		old := &batchv1.Job{}
		if err := j.decoder.DecodeRaw(request.OldObject, old); err != nil {
			return admission.Errored(http.StatusBadRequest, err)
		}
		changed := !equality.Semantic.DeepEqual(old.Spec.Template, job.Spec.Template)
		log.FromContext(ctx).Info("reviewed", "changed", changed)
		return admission.Allowed("")
	}
	if job.Spec.TTLSecondsAfterFinished == nil {
		ttl := int32(3600)
		job.Spec.TTLSecondsAfterFinished = &ttl
	}
	template, err := json.Marshal(job.Spec.Template)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	digest := sha256.Sum256(template)
	hash := hex.EncodeToString(digest[:8])
	if job.Annotations == nil {
		job.Annotations = map[string]string{}
	}
	job.Annotations["example.com/template-hash"] = hash
	marshaled, err := json.Marshal(job)
	if err != nil {
		return admission.Errored(http.StatusInternalServerError, err)
	}
	log.FromContext(ctx).Info("reviewed", "changed", false, "hash", hash)
	return admission.PatchResponseFromRaw(request.Object.Raw, marshaled)
}

func main() {
	// zap.New samples the log, 100 lines a second and then each 100th, unless level -2 is written. At
	// that level controller-runtime writes no line of its own about a review.
	log.SetLogger(zap.New(zap.WriteTo(os.Stdout), zap.Level(zapcore.Level(-2))))
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	scheme := runtime.NewScheme()
	if err := batchv1.AddToScheme(scheme); err != nil {
		panic(err)
	}
	server := webhook.NewServer(webhook.Options{Host: "127.0.0.1", Port: port, CertDir: os.Args[2]})
	handler := &jobs{decoder: admission.NewDecoder(scheme)}
	server.Register("/mutate", &webhook.Admission{Handler: handler})
	if err := server.Start(signals.SetupSignalHandler()); err != nil {
		panic(err)
	}
}
