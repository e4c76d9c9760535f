// What the API answers, as far as the pages read it. tests/contracts/api/test_answers_the_pages_read.py holds it against
// docs/openapi.yml, and what begins with Figures against the monitor; so an interface is named as its schema there.

/** `ok`: the API did it, and the body is its envelope. Else the body says why not; `results` then may name fields. */
export type Answer<Results> =
  | { ok: true; status: number; body: { message: string; results: Results } }
  | { ok: false; status: number; body: Refused };

export interface Refused {
  code: string;
  message: string;
  results?: Errors | null;
}

export interface Errors {
  errors: FieldError[];
}

export interface FieldError {
  field: string;
  reason: string;
}

export interface AcceptedMessage {
  message_id: string;
}

export interface AcceptedCampaign {
  campaign_token: string;
  accepted: number;
  rejected: Rejected[];
  duplicates: number;
}

export interface Rejected {
  phone: string;
  reason: string;
}

export type Status =
  | "queued"
  | "sending"
  | "retrying"
  | "sent"
  | "failed"
  | "unknown"
  | "canceled"
  | "expired"
  | "suppressed";

export type CampaignStatus = "scheduled" | "running" | "paused" | "finished" | "canceled";

export type Kind = "message" | "image" | "file";

export interface MessageItem {
  message_id: string;
  status: Status;
  phone: string;
  reason: string | null;
  created_at: string;
}

export interface MessageList {
  messages: MessageItem[];
  next_cursor: string | null;
}

export interface ResolvedMessage {
  message_id: string;
  status: Status;
}

export interface Counts {
  sent: number;
  failed: number;
  unknown: number;
  canceled: number;
  expired: number;
  suppressed: number;
}

export interface Receipts {
  delivered: number;
  read: number;
}

export interface CampaignItem {
  campaign_token: string;
  status: CampaignStatus;
  type: Kind;
  reference: string | null;
  total: number;
  counts: Counts;
  receipts: Receipts;
  possible_duplicates: number;
  created_at: string;
}

export interface CampaignList {
  campaigns: CampaignItem[];
  next_cursor: string | null;
}

export interface CampaignRetried {
  campaign_token: string;
  retried: number;
}

export interface RateProfileValues {
  name: "manual" | "bulk";
}

export interface RateProfileAnswer {
  profile: RateProfileValues;
  warnings: string[];
  messages_per_minute: number | null;
}

/** An event of the statistics stream. */
export interface Figures {
  timestamp: string;
  status: FiguresHealth;
  reasons: FiguresReason[];
  worker: FiguresWorker;
  redis_queue: FiguresQueue;
  database: FiguresDatabase;
  messages: FiguresMessages;
  throughput: FiguresThroughput;
  campaigns: FiguresCampaigns;
  endpoints: FiguresAccount[];
  alerts: FiguresAlert[];
}

export type FiguresHealth = "ok" | "degraded" | "down";

export interface FiguresReason {
  part: string;
  status: FiguresHealth;
  reason: string;
  detail: string;
}

export interface FiguresWorker {
  dispatchers: FiguresDispatchers;
}

export interface FiguresDispatchers {
  alive: string[];
}

/** Without Redis there are no lanes. */
export interface FiguresQueue {
  queue_length: number;
  lanes: Record<string, FiguresLane>;
  scheduled?: number;
}

export interface FiguresLane {
  length: number;
  pending: number;
  waiting: number;
  lag_seconds: number;
}

export interface FiguresDatabase {
  latency_ms: number | null;
  size_bytes: number | null;
  media_files: number | null;
  media_bytes: number | null;
}

/** Without Postgres there are no counts. */
export interface FiguresMessages {
  sending?: number;
  retrying?: number;
  outcome_unknown_yet?: number;
  in_campaigns?: number;
  bounded?: boolean;
  stopped_lanes?: string[];
  stop_reason?: string | null;
  last_hour: FiguresAttempts | null;
  last_day: FiguresAttempts | null;
}

export interface FiguresAttempts {
  sent: number;
  failed: number;
  unknown: number;
  bounded: boolean;
}

/** Attempts of each minute, oldest first; without Redis there is none. */
export interface FiguresThroughput {
  minutes: number;
  sent: number[];
  failed: number[];
  unknown: number[];
  sent_per_minute: number;
  until: string | null;
}

export interface FiguresCampaigns {
  open: FiguresCampaign[];
}

export interface FiguresCampaign {
  campaign_token: string;
  status: CampaignStatus;
  counts: Counts;
  receipts: Receipts;
}

export interface FiguresAccount {
  id: string;
  url: string;
  label: string;
  messages_sent: number;
  messages_failed: number;
  avg_response_time: number | null;
  success_rate: number | null;
  last_used: string | null;
  last_error: string | null;
  last_error_time: string | null;
  in_flight: number;
  next_ready_in_ms: number | null;
  suspended: boolean;
  suspend_reason: string | null;
  suspended_by: "operator" | "feedback" | null;
  held_until: string | null;
  feedback: FiguresFeedback;
  account: FiguresAccountState | null;
  circuit_breaker: FiguresBreaker;
  undelivered: number;
  undelivered_of: number;
  silent_drop: boolean;
}

export type FiguresAccountState = "usable" | "offline" | "logged_out" | "misconfigured" | "no_device" | "unreachable";

export interface FiguresFeedback {
  state: FiguresFeedbackState;
  since: string | null;
  until: string | null;
  reason: string | null;
}

export type FiguresFeedbackState = "normal" | "slowed" | "suspended" | "trial";

export interface FiguresBreaker {
  state: "closed" | "open" | "half_open";
  since: string | null;
  reason: string | null;
  next_trial: string | null;
}

export interface FiguresAlert {
  name: string;
  severity: FiguresSeverity;
  endpoint: string | null;
  label: string | null;
  text: string;
  since: string;
}

export type FiguresSeverity = "critical" | "warning";
