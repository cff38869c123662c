// Scorecards and reviews as the API gives them (src/callreel/scorecards/summary.py).

import type { CitedTurn } from "../insight/cited_turn";

export type Kind = "yes_no" | "scale" | "text";

export interface Question {
  key: number;
  text: string;
  kind: Kind;
  points: number;
  critical: boolean;
}

export interface Scorecard {
  id: number;
  version: number;
  name: string;
  retired: boolean;
  questions: Question[];
}

export interface Points {
  question: number;
  points: number | null;
  not_applicable: boolean;
}

export interface Answer extends Points {
  text: string;
  moments_ms: number[];
}

/** What a language model suggests, with the turns that it came from. */
export interface Suggestion extends Points {
  reason: string;
  turns: CitedTurn[];
}

export interface Score {
  percent: number | null;
  reached: number;
  possible: number;
  failed: number[];
}

export interface Review {
  id: number;
  scorecard_id: number;
  version: number;
  name: string;
  reviewer: string;
  state: "draft" | "finished" | "disputed" | "upheld" | "changed";
  revision: number;
  score: Score;
  score_before: Score | null;
  questions: Question[];
  answers: Answer[];
  dispute: { reason: string; by: string } | null;
  resolution: { text: string; by: string } | null;
}

export interface Comparison {
  scorecard_id: number;
  version: number;
  name: string;
  reviewers: string[];
  scores: (number | null)[];
  agreement_percent: number;
  questions: { question: number; text: string; answers: Points[]; same: boolean; spread: number }[];
}

/** The answer to a question; the API gives one for each. */
export function answerOf(review: Review, question: Question): Answer {
  return review.answers.find((answer) => answer.question === question.key) ?? { question: question.key, points: null, not_applicable: false, text: "", moments_ms: [] };
}

/** Answers as one text, equal for what the server keeps as equal: texts without the spaces around them. */
export function written(answers: readonly Answer[]): string {
  return JSON.stringify(answers.map(({ question, points, not_applicable, text, moments_ms }) => [question, points, not_applicable, text.trim(), moments_ms]));
}

export function scoreText(percent: number | null): string {
  return percent === null ? "no score" : `${percent.toFixed(1)} %`;
}

/** An answer in words: `Yes`, `No`, `7 of 10`, `Not applicable`, or a dash without one. */
export function answerText(answer: Points | undefined, question: Question): string {
  if (answer?.not_applicable) return "Not applicable";
  if (!answer || answer.points === null) return "–";
  if (question.kind === "yes_no") return answer.points ? "Yes" : "No";
  return `${answer.points} of ${question.points}`;
}
