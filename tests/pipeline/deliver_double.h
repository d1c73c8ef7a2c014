/* Stands in for what the pipeline does with results and new programs, where it is not linked. */
#ifndef CW_TESTS_DELIVER_DOUBLE_H
#define CW_TESTS_DELIVER_DOUBLE_H

#include "pipeline/pipeline.h"

void cw_pipeline_result(struct cw_pipeline *pipeline, const struct cw_post_result *result)
{
    (void)pipeline;
    (void)result;
}

void cw_pipeline_reprogram(struct cw_pipeline *pipeline, const struct cw_programs *programs)
{
    (void)pipeline;
    (void)programs;
}

#endif
