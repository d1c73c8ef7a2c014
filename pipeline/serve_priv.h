/* serve_priv: the handlers behind serve_route.c's table. */
#ifndef CW_PIPELINE_SERVE_PRIV_H
#define CW_PIPELINE_SERVE_PRIV_H

#include "pipeline/service_priv.h"

/* Opens the request for a question; NULL: it was answered as busy. */
struct cw_open *cw_serve_question(struct cw_service *service, const struct cw_call *call,
                                  const struct cw_question *question);
/* Asks one core, or all. what is the question's own, mostly open->room. */
void cw_serve_ask(struct cw_service *service, struct cw_open *open, uint32_t shard, uint32_t number,
                  const void *what);
void cw_serve_ask_all(struct cw_service *service, struct cw_open *open, const void *what);

/* Keeps an answer's bytes with the open request, behind those that came before. */
void cw_serve_keep(struct cw_service *service, struct cw_open *open, struct cw_view bytes);
/* For cw_question.gather: counts it and keeps it when it found something. */
void cw_serve_gather(struct cw_service *service, struct cw_open *open, const struct cw_ask *ask);

void cw_serve_refuse(struct cw_service *service, const struct cw_request *request, uint16_t status,
                     const char *text);

/* A parameter of the query, decoded into room; *value NULL when it is not there. False: it is
   malformed or longer than room, and the request was answered so. */
CW_MUST_USE bool cw_serve_query(struct cw_service *service, const struct cw_request *request,
                                const char *name, char *room, uint32_t room_bytes,
                                struct cw_view *value);

/* serve_metrics.c */
void cw_serve_metrics(struct cw_service *service, const struct cw_call *call);
/* serve_candidate.c */
void cw_serve_candidate(struct cw_service *service, const struct cw_call *call);
void cw_serve_candidates(struct cw_service *service, const struct cw_call *call);
/* serve_program.c */
void cw_serve_programs(struct cw_service *service, const struct cw_call *call);
void cw_serve_pause(struct cw_service *service, const struct cw_call *call);
void cw_serve_resume(struct cw_service *service, const struct cw_call *call);
/* serve_link.c */
void cw_serve_open(struct cw_service *service, const struct cw_call *call);
void cw_serve_click(struct cw_service *service, const struct cw_call *call);
void cw_serve_unsubscribe(struct cw_service *service, const struct cw_call *call);

#endif
