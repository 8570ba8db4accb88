// What the gateway may answer, by the name the specs call it: the types the vendors publish.
import type { Message, MessageTokensCount, RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages/messages";
import type { ErrorResponse } from "@anthropic-ai/sdk/resources/shared";
import type { ChatCompletion, ChatCompletionChunk } from "openai/resources/chat/completions/completions";
import type { Completion } from "openai/resources/completions";
import type { CreateEmbeddingResponse } from "openai/resources/embeddings";
import type { Model } from "openai/resources/models";
import type { Response, ResponseStreamEvent } from "openai/resources/responses/responses";
import type { ErrorObject } from "openai/resources/shared";

export interface OpenAI {
  chat: ChatCompletion;
  chunk: ChatCompletionChunk;
  response: Response;
  event: ResponseStreamEvent;
  completion: Completion;
  embeddings: CreateEmbeddingResponse;
  models: { object: "list"; data: Model[] };
  error: { error: ErrorObject };
}

export interface Anthropic {
  message: Message;
  message_event: RawMessageStreamEvent;
  tokens: MessageTokensCount;
  message_error: ErrorResponse;
}
