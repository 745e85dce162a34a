/*
 * All public headers at once. Inside the library each file includes what it uses.
 */
#ifndef CUPEL_CUPEL_H
#define CUPEL_CUPEL_H

#include <cupel/baselines.h>
#include <cupel/check.h>
#include <cupel/context.h>
#include <cupel/dataset.h>
#include <cupel/download.h>
#include <cupel/file.h>
#include <cupel/graph.h>
#include <cupel/image.h>
#include <cupel/job.h>
#include <cupel/layers.h>
#include <cupel/loader.h>
#include <cupel/machine.h>
#include <cupel/metrics.h>
#include <cupel/models.h>
#include <cupel/number.h>
#include <cupel/op.h>
#include <cupel/ops.h>
#include <cupel/parameters.h>
#include <cupel/plan.h>
#include <cupel/program.h>
#include <cupel/protocol.h>
#include <cupel/recipe.h>
#include <cupel/score.h>
#include <cupel/status.h>
#include <cupel/synth.h>
#include <cupel/tensor.h>
#include <cupel/trainer.h>
#include <cupel/types.h>
#include <cupel/version.h>

#endif
