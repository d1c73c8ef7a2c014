/*
 * program_keys: every key of a program file, one row each (rows of struct cw_option).
 *
 * A row's name in the enum of its table is its place in the settings that cw_options_read fills.
 * The product reference's word for a key is its help; whoever adds a key adds a row here and the
 * line that uses it in program_file_ctl.c or program_channel_ctl.c.
 */
#ifndef CW_PIPELINE_PROGRAM_KEYS_CTL_H
#define CW_PIPELINE_PROGRAM_KEYS_CTL_H

#include "pipeline/option_ctl.h"

/* clang-format off */
#define CW_PROGRAM_KEYS(X) \
    X(PROGRAM_ID, "programId", LINE, .required = true, .min = 1, .max = 128, \
      .help = "the program's own name, unique among all programs") \
    X(PROGRAM_NAME, "programName", LINE, .min = 1, .max = 256, \
      .help = "what people call it; programId when absent") \
    X(PROGRAM_ENABLED, "enabled", BOOL, .fallback = "true", \
      .help = "false: the program matches nothing") \
    X(PROGRAM_MARKETPLACES, "marketplaces", LINES, .min = 1, .max = 64, \
      .help = "the marketplaces it runs in, such as [\"US\", \"UK\"]; all when absent") \
    X(PROGRAM_SOURCES, "eventSources", MAPPINGS, .required = true, .min = 1, .max = 16, \
      .inner = &cw_source_options, .help = "a list of sources, each with an event pattern") \
    X(PROGRAM_MODELS, "scoringModels", MAPPINGS, .min = 0, .max = 1, \
      .inner = &cw_model_options, \
      .help = "the model of purchase intent; the shipped one when absent") \
    X(PROGRAM_FILTERS, "filterChain", MAPPINGS, .min = 0, .max = CW_FILTERS_MAX, \
      .inner = &cw_filter_options, .help = "what an abandonment must pass to become a candidate") \
    X(PROGRAM_CHANNELS, "channels", MAPPINGS, .required = true, .min = 1, .max = CW_TOUCHES_MAX, \
      .inner = &cw_channel_options, .help = "a list of messages, each with a type and a delay") \
    X(PROGRAM_DISCOUNT, "discountStrategy", MAPPING, .inner = &cw_discount_options, \
      .help = "what to offer; nothing when absent") \
    X(PROGRAM_DEDUP, "deduplication", MAPPING, .inner = &cw_dedup_options, \
      .help = "what counts as the same abandonment, and for how long") \
    X(PROGRAM_TTL, "candidateTTLDays", NUMBER, .above = true, .min = 0, .max = 365, \
      .unit = "days", .fallback = "7", .help = "how long a candidate lives") \
    X(PROGRAM_ON_REABANDON, "onReabandon", WORD, .words = cw_words_on_reabandon, \
      .fallback = "restart", .help = "what to do with a cart abandoned again while in flight") \
    X(PROGRAM_ON_NEW_CART, "onNewCart", WORD, .words = cw_words_on_new_cart, \
      .fallback = "supersede", \
      .help = "what another cart of the customer does to the one in flight") \
    X(PROGRAM_MIN_GAP, "minGapMinutes", NUMBER, .min = 0, .max = 43200, .unit = "minutes", \
      .help = "least distance between two messages to a customer; 60 when absent, or the " \
              "smallest distance between two touches if that is less") \
    X(PROGRAM_QUIET, "quietHours", MAPPING, .inner = &cw_quiet_options, \
      .help = "when nothing is sent, in the customer's time zone") \
    X(PROGRAM_HOLDOUT, "holdoutPercent", NUMBER, .min = 0, .max = 100, .unit = "percent", \
      .fallback = "0", .help = "share of customers who get no touches, to measure the lift by") \
    X(PROGRAM_DETECTION, "abandonmentDetection", MAPPING, .inner = &cw_detection_options, \
      .help = "have cartwheel itself notice abandoned carts from CartUpdated events") \
    X(PROGRAM_CODE_VALID, "codeValidHours", NUMBER, .above = true, .min = 0, .max = 8760, \
      .unit = "hours", .fallback = "24", \
      .help = "how long a code is valid after the touch that announced it") \
    X(PROGRAM_CODES, "discountCodes", WORD, .words = cw_words_codes, .fallback = "shared", \
      .help = "shared: CART10 for everybody; unique: one code a candidate")

#define CW_SOURCE_KEYS(X) \
    X(SOURCE_ID, "sourceId", LINE, .min = 1, .max = 128, .help = "the source's own name") \
    X(SOURCE_TYPE, "type", WORD, .words = cw_words_source_type, .fallback = "eventbridge", \
      .help = "where events come from") \
    X(SOURCE_CONFIG, "config", MAPPING, .required = true, .inner = &cw_source_config_options, \
      .help = "its eventPattern and, if wanted, eventBusName")

#define CW_SOURCE_CONFIG_KEYS(X) \
    X(SOURCE_BUS, "eventBusName", LINE, .min = 1, .max = 256, \
      .help = "the bus whose events it takes; the bus called default when absent") \
    X(SOURCE_PATTERN, "eventPattern", TREE, \
      .help = "an EventBridge pattern, in which two ascending numbers are an inclusive range") \
    X(SOURCE_AWS_PATTERN, "awsEventPattern", TREE, \
      .help = "an EventBridge pattern, exactly as EventBridge reads it")

#define CW_MODEL_KEYS(X) \
    X(MODEL_ID, "modelId", LINE, .min = 1, .max = 128, .help = "the model's name") \
    X(MODEL_ENDPOINT, "endpoint", LINE, .min = 1, .max = 256, \
      .help = "model://NAME or sagemaker://NAME: the model NAME of the models directory") \
    X(MODEL_FEATURES, "features", LINES, .min = 1, .max = 64, \
      .help = "the features it uses; all of the model's when absent")

#define CW_FILTER_KEYS(X) \
    X(FILTER_ID, "filterId", LINE, .min = 1, .max = 128, \
      .help = "the filter's name in a rejection; its type when absent") \
    X(FILTER_TYPE, "type", WORD, .required = true, .words = cw_words_filter_type, \
      .help = "trust, business-rule or eligibility") \
    X(FILTER_ORDER, "order", NUMBER, .whole = true, .min = -1000000, .max = 1000000, \
      .help = "filters run in this order; its place in the list when absent") \
    X(FILTER_PARAMETERS, "parameters", MAPPING, .help = "what the filter asks for, by its type")

#define CW_TRUST_KEYS(X) \
    X(TRUST_ALLOW_UNKNOWN, "allowUnknown", BOOL, .fallback = "false", \
      .help = "let customers pass of whom no CustomerUpdated was seen") \
    X(TRUST_PAYMENT, "requirePaymentMethod", BOOL, .fallback = "true", \
      .help = "ask for a payment method on file")

/* The caps stand in the order of CW_CHANNELS, then the one of all messages. */
#define CW_RULE_KEYS(X) \
    X(RULE_MIN_CART_VALUE, "minCartValue", NUMBER_BY_MARKET, .min = 0, .max = 1e12, \
      .help = "least cart value, in the cart's currency") \
    X(RULE_MAX_EMAILS, "maxRecoveryEmailsPerWeek", NUMBER_BY_MARKET, .whole = true, .min = 0, \
      .max = 1e6, .help = "most e-mails to a customer in 7 days, over all programs; 0: none") \
    X(RULE_MAX_SMS, "maxRecoverySmsPerWeek", NUMBER_BY_MARKET, .whole = true, .min = 0, \
      .max = 1e6, .help = "the same for sms") \
    X(RULE_MAX_PUSH, "maxRecoveryPushPerWeek", NUMBER_BY_MARKET, .whole = true, .min = 0, \
      .max = 1e6, .help = "the same for push") \
    X(RULE_MAX_MESSAGES, "maxRecoveryMessagesPerWeek", NUMBER_BY_MARKET, .whole = true, .min = 0, \
      .max = 1e6, .help = "the same for all channels together") \
    X(RULE_IN_STOCK, "requireInStock", BOOL, .fallback = "false", \
      .help = "every item must be in stock")

/* These may stand in the channel or in its config. */
#define CW_DELIVERY_KEYS(X, PLACE) \
    X(PLACE##_COST, "costPerMessage", NUMBER, .min = 0, .max = 1e6, \
      .help = "cost of one message, for the reports") \
    X(PLACE##_RATE, "ratePerSecond", NUMBER, .above = true, .min = 0, .max = 1e6, \
      .unit = "messages a second", .help = "sends no faster; no limit when absent") \
    X(PLACE##_RETRIES, "retries", NUMBER, .whole = true, .min = 0, .max = 100, .fallback = "3", \
      .help = "how often a failed send is tried again") \
    X(PLACE##_ON_UNKNOWN, "onUnknown", WORD, .words = cw_words_on_unknown, \
      .help = "what to do when nobody knows whether the provider took a message; when absent, " \
              "resend where the provider notices duplicates, else drop") \
    X(PLACE##_FROM, "from", LINE, .min = 1, .max = 320, .help = "the sender") \
    X(PLACE##_VARIANTS, "variants", MAPPINGS, .min = 1, .max = 16, .inner = &cw_variant_options, \
      .help = "different messages for shares of the customers")

#define CW_CHANNEL_KEYS(X) \
    X(CHANNEL_ID, "channelId", LINE, .min = 1, .max = 128, \
      .help = "the channel's own name; its type when absent") \
    X(CHANNEL_TYPE, "type", WORD, .required = true, .words = cw_words_channel_type, \
      .help = "email, sms or push") \
    X(CHANNEL_ENABLED, "enabled", BOOL, .fallback = "true", .help = "false: no touch on it") \
    X(CHANNEL_PRIORITY, "priority", NUMBER, .whole = true, .min = -1000000, .max = 1000000, \
      .fallback = "0", .help = "which of two touches with the same delay comes first: the lower") \
    X(CHANNEL_CONFIG, "config", MAPPING, .required = true, .inner = &cw_touch_options, \
      .help = "its delay and its texts") \
    CW_DELIVERY_KEYS(X, CHANNEL)

/* What a variant may say instead of its channel. */
#define CW_TEXT_KEYS(X, PLACE) \
    X(PLACE##_TEMPLATE, "templateId", LINE, .min = 1, .max = 128, \
      .help = "email: a template of the templates directory") \
    X(PLACE##_SUBJECT, "subject", LINE, .min = 1, .max = 998, .help = "email: the subject") \
    X(PLACE##_MESSAGE, "message", TEXT, .min = 1, .max = 4096, .help = "sms: the text") \
    X(PLACE##_TITLE, "title", LINE, .min = 1, .max = 256, .help = "push: the title") \
    X(PLACE##_BODY, "body", TEXT, .min = 1, .max = 4096, .help = "push: the text") \
    X(PLACE##_DELAY_MINUTES, "delayMinutes", NUMBER, .min = 0, .max = 525600, .unit = "minutes", \
      .help = "when to send it after the abandonment; or delayHours") \
    X(PLACE##_DELAY_HOURS, "delayHours", NUMBER, .min = 0, .max = 8760, .unit = "hours", \
      .help = "when to send it after the abandonment; or delayMinutes")

#define CW_TOUCH_KEYS(X) \
    CW_TEXT_KEYS(X, TOUCH) \
    X(TOUCH_INCLUDE_DISCOUNT, "includeDiscount", BOOL, .fallback = "true", \
      .help = "false: no code in this message") \
    X(TOUCH_ONLY_IF, "onlyIfNotConverted", BOOL, .fallback = "true", \
      .help = "always true: a converted cart is never reminded") \
    CW_DELIVERY_KEYS(X, TOUCH)

#define CW_VARIANT_KEYS(X) \
    X(VARIANT_NAME, "name", LINE, .required = true, .min = 1, .max = 128, \
      .help = "the variant's name in reports") \
    X(VARIANT_SHARE, "share", NUMBER, .required = true, .above = true, .min = 0, .max = 1, \
      .help = "its share of the customers, a fraction; all shares of a channel sum to 1") \
    CW_TEXT_KEYS(X, VARIANT)

#define CW_DISCOUNT_KEYS(X) \
    X(DISCOUNT_ENABLED, "enabled", BOOL, .fallback = "true", \
      .help = "false: no discount, no code") \
    X(DISCOUNT_STRATEGY, "strategy", WORD, .words = cw_words_strategy, .fallback = "rule", \
      .help = "rule: by purchase intent and discount sensitivity") \
    X(DISCOUNT_DEFAULT, "defaultDiscount", NUMBER, .min = 0, .max = 100, .unit = "percent", \
      .fallback = "10", .help = "the least discount offered") \
    X(DISCOUNT_DYNAMIC, "dynamicDiscounting", BOOL, .fallback = "false", \
      .help = "offer up to maxDiscount to those who need it") \
    X(DISCOUNT_MAX, "maxDiscount", NUMBER, .min = 0, .max = 100, .unit = "percent", \
      .help = "the most offered; defaultDiscount when absent") \
    X(DISCOUNT_STEP, "discountStep", NUMBER, .above = true, .min = 0, .max = 100, \
      .unit = "percent", .fallback = "5", .help = "discounts are multiples of this")

#define CW_DEDUP_KEYS(X) \
    X(DEDUP_ENABLED, "enabled", BOOL, .fallback = "true", .help = "false: nothing is a duplicate") \
    X(DEDUP_TTL, "ttlDays", NUMBER, .above = true, .min = 0, .max = 365, .unit = "days", \
      .fallback = "7", .help = "how long an abandonment is remembered") \
    X(DEDUP_KEY, "keyFormat", LINE, .min = 1, .max = 256, \
      .fallback = "{customerId}:{cartId}:{programId}", \
      .help = "what makes two abandonments the same: {customerId} with {cartId}, {programId}")

#define CW_QUIET_KEYS(X) \
    X(QUIET_START, "start", CLOCK, .required = true, .help = "\"HH:MM\", the first quiet minute") \
    X(QUIET_END, "end", CLOCK, .required = true, .help = "\"HH:MM\", the first minute after them")

#define CW_DETECTION_KEYS(X) \
    X(DETECTION_TIMEOUT, "sessionTimeoutMinutes", NUMBER, .required = true, .above = true, \
      .min = 0, .max = 43200, .unit = "minutes", \
      .help = "how long after its last CartUpdated a cart counts as abandoned")

/*    table of rows     its options           what it is called */
#define CW_PROGRAM_TABLES(X) \
    X(CW_PROGRAM_KEYS, cw_program_options, "the program") \
    X(CW_SOURCE_KEYS, cw_source_options, "an event source") \
    X(CW_SOURCE_CONFIG_KEYS, cw_source_config_options, "an event source's config") \
    X(CW_MODEL_KEYS, cw_model_options, "a scoring model") \
    X(CW_FILTER_KEYS, cw_filter_options, "a filter") \
    X(CW_TRUST_KEYS, cw_trust_options, "the parameters of a trust filter") \
    X(CW_RULE_KEYS, cw_rule_options, "the parameters of a business-rule") \
    X(CW_CHANNEL_KEYS, cw_channel_options, "a channel") \
    X(CW_TOUCH_KEYS, cw_touch_options, "a channel's config") \
    X(CW_VARIANT_KEYS, cw_variant_options, "a variant") \
    X(CW_DISCOUNT_KEYS, cw_discount_options, "discountStrategy") \
    X(CW_DEDUP_KEYS, cw_dedup_options, "deduplication") \
    X(CW_QUIET_KEYS, cw_quiet_options, "quietHours") \
    X(CW_DETECTION_KEYS, cw_detection_options, "abandonmentDetection")

#define CW_ROW_NAME(id, ...) CW_OPT_##id,
enum cw_opt_program { CW_PROGRAM_KEYS(CW_ROW_NAME) CW_OPT_PROGRAM_COUNT };
enum cw_opt_source { CW_SOURCE_KEYS(CW_ROW_NAME) CW_OPT_SOURCE_COUNT };
enum cw_opt_source_config { CW_SOURCE_CONFIG_KEYS(CW_ROW_NAME) CW_OPT_SOURCE_CONFIG_COUNT };
enum cw_opt_model { CW_MODEL_KEYS(CW_ROW_NAME) CW_OPT_MODEL_COUNT };
enum cw_opt_filter { CW_FILTER_KEYS(CW_ROW_NAME) CW_OPT_FILTER_COUNT };
enum cw_opt_trust { CW_TRUST_KEYS(CW_ROW_NAME) CW_OPT_TRUST_COUNT };
enum cw_opt_rule { CW_RULE_KEYS(CW_ROW_NAME) CW_OPT_RULE_COUNT };
enum cw_opt_channel { CW_CHANNEL_KEYS(CW_ROW_NAME) CW_OPT_CHANNEL_COUNT };
enum cw_opt_touch { CW_TOUCH_KEYS(CW_ROW_NAME) CW_OPT_TOUCH_COUNT };
enum cw_opt_variant { CW_VARIANT_KEYS(CW_ROW_NAME) CW_OPT_VARIANT_COUNT };
enum cw_opt_discount { CW_DISCOUNT_KEYS(CW_ROW_NAME) CW_OPT_DISCOUNT_COUNT };
enum cw_opt_dedup { CW_DEDUP_KEYS(CW_ROW_NAME) CW_OPT_DEDUP_COUNT };
enum cw_opt_quiet { CW_QUIET_KEYS(CW_ROW_NAME) CW_OPT_QUIET_COUNT };
enum cw_opt_detection { CW_DETECTION_KEYS(CW_ROW_NAME) CW_OPT_DETECTION_COUNT };
#undef CW_ROW_NAME
/* clang-format on */

#define CW_TABLE_DECLARE(rows, table, what) extern const struct cw_options table;
CW_PROGRAM_TABLES(CW_TABLE_DECLARE)
#undef CW_TABLE_DECLARE

/* All tables, NULL-terminated, the program's own first. */
extern const struct cw_options *const cw_program_tables[];

#endif
