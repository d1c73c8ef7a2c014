/* Stands in for the parts of the pipeline that are not linked yet. */
#ifndef CW_TESTS_DELIVER_DOUBLE_H
#define CW_TESTS_DELIVER_DOUBLE_H

#include "pipeline/pipeline.h"

#include <stdio.h>

static uint32_t double_results, double_visits, double_looks, double_machines, double_programs;

void cw_pipeline_result(struct cw_pipeline *pipeline, const struct cw_post_result *result)
{
    (void)pipeline;
    (void)result;
    double_results++;
}

void cw_pipeline_reprogram(struct cw_pipeline *pipeline, const struct cw_programs *programs)
{
    (void)pipeline;
    (void)programs;
    double_programs++;
}

bool cw_pipeline_pause(struct cw_pipeline *pipeline, struct cw_view program,
                       enum cw_channel channel, bool paused)
{
    (void)pipeline;
    (void)channel;
    (void)paused;
    return cw_view_equal(program, CW_VIEW("p"));
}

/* Customers whose id begins with "a" have one. */
bool cw_pipeline_candidate(struct cw_pipeline *pipeline, struct cw_view customer,
                           struct cw_view program, bool all, struct cw_text *json)
{
    (void)pipeline;
    if (customer.bytes == 0 || customer.data[0] != 'a') {
        return false;
    }
    cw_text_puts(json, all ? "[{\"customerId\":" : "{\"customerId\":");
    cw_text_json(json, customer);
    cw_text_puts(json, ",\"programId\":");
    cw_text_json(json, program);
    cw_text_puts(json, all ? "}]" : "}");
    return true;
}

/* A token is its customer's id; one that begins with "x" is none. */
bool cw_link_read(const struct cw_links *links, enum cw_link_kind kind, struct cw_view token,
                  uint32_t partitions, char room[CW_LINK_TOKEN_BYTES_MAX], struct cw_link *link)
{
    (void)links;
    (void)kind;
    (void)partitions;
    if (token.bytes == 0 || token.data[0] == 'x' || token.bytes > CW_LINK_TOKEN_BYTES_MAX) {
        return false;
    }
    memcpy(room, token.data, token.bytes);
    *link = (struct cw_link){.customer = {room, token.bytes}};
    return true;
}

void cw_pipeline_visit(struct cw_pipeline *pipeline, const struct cw_visit *visit,
                       struct cw_visited *visited)
{
    (void)pipeline;
    double_visits += !visit->look;
    double_looks += visit->look;
    double_machines += visit->machine && !visit->look;
    struct cw_view customer = visit->link.customer;
    *visited = (struct cw_visited){.known = customer.data[0] != 'u',
                                   .expired = customer.data[0] == 'e',
                                   .channel = CW_CHANNEL_EMAIL,
                                   .url = CW_VIEW("https://shop.example/caf\xc3\xa9?a=1"),
                                   .shop_name = CW_VIEW("<Tom's & Co>")};
    if (customer.data[0] == 'j') {
        visited->url = CW_VIEW("javascript:alert(1)");
    } else if (customer.data[0] == 'h') {
        visited->url = CW_VIEW("https://shop.example/\r\nx: y");
    } else if (customer.data[0] == 'e') {
        visited->url = (struct cw_view){0};
    }
}

#endif
