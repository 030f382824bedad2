import { page } from "../entities.js";

export const { render } = page("customer");
